"""Events that are documents of their own: stored once a minute, found by whom they are for, gone in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.dead_letters import store_dead_letter
from app.adapters.mongo import Store
from app.context import AppContext
from app.domain.access import Role
from app.domain.account_events import Happening, dispatch_failed, key_made, limit_hit
from app.domain.actions import Status
from app.domain.dead_letters import Kind
from app.domain.events import Event, EventType
from app.domain.searches import BadCursor, Search, terms_of
from app.kafka.retry_headers import RetryHeaders
from app.services import ledger_search
from app.services.erasure import erase
from app.services.replays import find_obstacle, start_replay
from app.services.scheduling import announce
from app.services.search import search_events
from app.services.stored_events import index_stored_events
from stack import Stack
from tests.support.bench import Bench
from tests.support.fakes import RecordingTopics, event
from tests.support.indexing import IndexBench, index_settings

#: A minute that is over.
AT = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)


def hit(account: str = "mine", code: str = "RATE_LIMITED") -> Happening:
    return limit_hit(account, code, source="203.0.113.7", actor="key 1")


async def found(context: AppContext, **wanted: Any) -> list[Event]:
    """All pages of a search."""
    events: list[Event] = []
    search = Search(**{"account_id": "mine", **wanted})
    while True:
        page = await search_events(context, search)
        events += page.events
        if page.following is None:
            return events
        search = replace(search, after=page.following)


async def test_the_same_minute_is_one_document(store: Store) -> None:
    """However many workers store it, at the same time: the counts add up."""
    await asyncio.gather(*(store.events.add(hit().event(AT, 2), None) for _ in range(5)))
    [stored] = await store.events.page("mine", 10)
    assert stored == hit().event(AT, 10)


async def test_events_go_in_time(store: Store) -> None:
    """Those of an action go with it, at the latest; what has expired is removed, whatever the server does."""
    await store.events.add(hit().event(AT, 1), AT + timedelta(minutes=5))
    await store.events.add(dispatch_failed("mine", "0" * 24, "away").event(AT, 1), AT + timedelta(days=90))
    await store.events.forget(AT)
    assert len(await store.events.page("mine", 10)) == 2
    await store.events.expire("0" * 24, AT + timedelta(minutes=9))
    await store.events.forget(AT + timedelta(minutes=5))
    assert [event.type for event in await store.events.page("mine", 10)] == [EventType.DISPATCH_FAILED]
    await store.events.forget(AT + timedelta(minutes=10))
    assert await store.events.page("mine", 10) == []


@pytest.fixture(params=["ledger", "elasticsearch"])
async def searched(request: pytest.FixtureRequest, bench: Bench) -> AsyncIterator[AppContext]:
    """A platform, searched in each of the engines, with events of two accounts, and of a key."""
    for number in range(5):
        await bench.store.events.add(hit(code=f"LIMIT_{number}").event(AT + timedelta(seconds=number), 1), None)
    await bench.store.events.add(hit("theirs").event(AT, 1), None)
    await bench.store.events.add(key_made("mine", "1f0c8a2e", Role.VIEWER, "ops").event(AT, 1), None)
    if request.param == "ledger":
        yield bench.context
        return
    index = IndexBench(bench, index_settings(request.getfixturevalue("elasticsearch")))
    await index_stored_events(index.context)
    await index.index.refresh()
    assert await bench.store.events.due(datetime.now(UTC), 10) == []
    yield index.context
    await index.close()


async def test_events_are_found_by_their_account(searched: AppContext) -> None:
    """On pages of any length, the newest first; what is about credentials by admins alone."""
    expected = [f"LIMIT_{number}" for number in (4, 3, 2, 1, 0)]
    for limit in (1, 2, 50):
        assert [event.code for event in await found(searched, limit=limit)] == expected
    admins = await found(searched, security=True)
    assert {event.code for event in admins} == {*expected, "1f0c8a2e"}
    assert [event.account_id for event in await found(searched, account_id="theirs")] == ["theirs"]
    assert await found(searched, account_id="nobody") == []


async def test_events_are_found_by_what_they_say(searched: AppContext) -> None:
    """By words, code, address and time; a search for rows finds none of them."""
    assert [event.code for event in await found(searched, terms=terms_of("limit LIMIT_3"))] == ["LIMIT_3"]
    assert len(await found(searched, terms=terms_of("203.0.113.7"))) == 5
    assert [event.code for event in await found(searched, since=AT + timedelta(seconds=4))] == ["LIMIT_4"]
    assert [event.code for event in await found(searched, until=AT + timedelta(seconds=1))] == ["LIMIT_0"]
    assert await found(searched, row=1) == await found(searched, record_id="1") == []


async def test_tampered_places_show_nothing(searched: AppContext) -> None:
    """A place among these events is no permission either."""
    page = await search_events(searched, Search(account_id="theirs", limit=1))
    assert page.following is None
    page = await search_events(searched, Search(account_id="mine", limit=1))
    assert page.following is not None
    for after in (page.following, (page.following[0], 2**62, "x"), (page.following[0], -1, "x")):
        with suppress(BadCursor):
            there = await search_events(searched, Search(account_id="theirs", after=after))
            assert {event.account_id for event in there.events} <= {"theirs"}


async def test_refused_events_are_dead_letters(bench: Bench, elasticsearch: Stack) -> None:
    """Of nobody, with the reason; a replay indexes them when the mapping is mended."""
    index = IndexBench(bench, index_settings(elasticsearch))
    try:
        await bench.store.events.add(hit(code="LIMIT_0").event(AT, 1), None)
        name = await index.with_mapping(AT, code={"type": "integer"})
        await index_stored_events(index.context)
        [letter] = await bench.store.dead_letters.page([None], 10)
        assert letter.kind is Kind.EVENTS and "code" in letter.error
        await index.client.indices.delete(index=name)
        assert await find_obstacle(index.context, letter) is None
        assert await start_replay(index.context, letter)
        await index_stored_events(index.context)
        await index.index.refresh()
        assert [event.code for event in await index.found(account_id="mine")] == ["LIMIT_0"]
    finally:
        await index.close()


async def test_a_page_of_them_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks at a number of them; the next ones have the rest, then the actions."""
    for number in range(5):
        await bench.store.events.add(hit(code=f"LIMIT_{number}").event(AT + timedelta(seconds=number), 1), None)
    await bench.finish(await bench.submit("1,Ada,ada@example.com,active", accountId="mine"))
    whole = await found(bench.context)
    assert {event.type for event in whole[5:]} == {
        EventType.ACTION_CREATED,
        EventType.ACTION_COMPLETED,
        EventType.CHUNK_COMPLETED,
    }
    monkeypatch.setattr(ledger_search, "_STORED_PER_READ", 2)
    monkeypatch.setattr(ledger_search, "_MOST_STORED", 2)
    assert await found(bench.context) == whole
    page = await search_events(bench.context, Search(account_id="mine", code="LIMIT_0"))
    assert page.events == ()
    assert page.following is not None


async def test_failed_start_is_an_event(bench: Bench) -> None:
    """An action that could not be announced says so, to its account, until it is deleted."""
    job = await bench.submit("1,Ada,ada@example.com,active", status=Status.QUEUED, accountId="mine")
    topics = RecordingTopics()
    topics.feed.faults = [TimeoutError("away")]
    await announce(bench.platform_with(topics=topics), job.action_id, timeout=1)
    await bench.context.event_log.flush()
    asked = {"action_id": job.action_id, "type": EventType.DISPATCH_FAILED}
    assert [event.action_id for event in await found(bench.context, **asked)] == [job.action_id]
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    await erase(bench.context, action)
    assert await bench.store.events.page("mine", 10) == []


async def test_dead_letter_is_an_event(bench: Bench) -> None:
    """A message about an action that is no chunk, and could not be done, is told to its account."""
    job = await bench.submit("1,Ada,ada@example.com,active", accountId="mine")
    headers = RetryHeaders.after(event(topic=bench.topics.feed.name), "it was never to be").to_headers()
    value = f'{{"actionId": "{job.action_id}"}}'.encode()
    await store_dead_letter(event(value, topic=bench.topics.dead.name, headers=headers), bench.context)
    await bench.context.event_log.flush()
    [letter] = await found(bench.context, type=EventType.DEAD_LETTER_STORED)
    assert (letter.code, letter.action_id) == ("MESSAGE", job.action_id)
    assert "it was never to be" in letter.message
