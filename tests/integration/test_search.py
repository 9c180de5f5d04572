"""Search over events: what is asked for is found, once, on whatever page; nothing of another account ever is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.context import AppContext
from app.domain.actions import Action
from app.domain.events import Event, EventType, Level
from app.domain.faults import Dependency, PassingFault
from app.domain.searches import BadCursor, FoundEvents, Search, terms_of
from app.services import ledger_search
from app.services.indexing import Indexer
from app.services.search import changes_of_record, search_events
from tests.support.bench import Bench
from tests.support.clocks import PAST
from tests.support.indexing import IndexBench, index_settings

#: Row 2 fails and row 4 is skipped; then both rows of the second chunk fail.
ROWS = (
    "1,Ada,ada@example.com,active",
    "G-1,No Mail,nobody,active",
    "3,Eve,eve@example.com,active",
    "1,Ada again,ada2@example.com,active",
    "5,,five@example.com,active",
    "6,Six,six@example.com,strange",
)


@pytest.fixture
async def filled(bench: Bench) -> AppContext:
    """A platform with an action of each of two accounts, without an index."""
    for account in ("mine", "theirs"):
        await bench.finish(await bench.submit(*ROWS, chunk_rows=4, accountId=account, createdAt=PAST))
    return bench.context


@pytest.fixture(params=["ledger", "elasticsearch"])
async def searched(request: pytest.FixtureRequest, bench: Bench, filled: AppContext) -> AsyncIterator[AppContext]:
    """The same, searched in each of the engines."""
    if request.param == "ledger":
        yield filled
        return
    index = IndexBench(bench, index_settings(request.getfixturevalue("elasticsearch")))
    await index.catch_up()
    yield index.context
    await index.close()


async def catch_up(context: AppContext) -> None:
    """Let what was done since be found in the index, where there is one."""
    if context.index is not None:
        await Indexer().index(context)
        await context.index.refresh()


async def find(context: AppContext, text: str | None = None, **wanted: Any) -> FoundEvents:
    asked = {"account_id": "mine", "terms": terms_of(text) if text else (), **wanted}
    return await search_events(context, Search(**asked))


async def all_pages(context: AppContext, text: str | None = None, **wanted: Any) -> list[Event]:
    found: list[Event] = []
    after = None
    while True:
        page = await find(context, text, after=after, **wanted)
        assert len(page.events) <= wanted.get("limit", 50)
        found += page.events
        after = page.following
        if after is None:
            return found


def rows(found: FoundEvents) -> list[int | None]:
    return sorted(event.row or 0 for event in found.events)


#: Words, other things that are asked for, and the rows that are found; chunks and actions count as row 0 here.
ASKED: tuple[tuple[str | None, dict[str, Any], list[int]], ...] = (
    ("email address", {}, [2]),
    ("G-1", {}, [2]),
    ("FIVE@example.com", {}, [5]),
    ("INVALID_EMAIL", {}, [2]),
    ("row.failed", {}, [2, 5, 6]),
    (None, {"code": "DUPLICATE"}, [4]),
    (None, {"status": "SKIPPED"}, [4]),
    (None, {"row": 6}, [6]),
    (None, {"row": 3}, []),
    (None, {"row": 10**12}, []),
    (None, {"record_id": "1"}, [4]),
    (None, {"email": "six@example.com"}, [6]),
    (None, {"level": Level.ERROR}, [2, 5, 6]),
    (None, {"type": EventType.CHUNK_COMPLETED}, [0, 0]),
    (None, {"type": EventType.ACTION_CREATED}, [0]),
    (None, {"type": EventType.ROW_FAILED, "entity_type": "Lead"}, []),
    (None, {"type": EventType.ROW_FAILED, "until": PAST}, []),
    (None, {"until": PAST + timedelta(milliseconds=1)}, [0]),
    ("created", {"since": PAST + timedelta(milliseconds=1)}, []),
)


async def test_what_is_asked_for_is_found(searched: AppContext) -> None:
    """By words, ids, addresses, codes, rows, levels, types and times."""
    for text, wanted, expected in ASKED:
        found = await find(searched, text, **wanted)
        assert (text, wanted, rows(found)) == (text, wanted, expected)
        assert found.following is None
        assert {event.account_id for event in found.events} <= {"mine"}


async def test_pages_have_everything_once(searched: AppContext) -> None:
    """However long the pages are, together they have what one page has, in the same order."""
    [*whole] = (await find(searched)).events
    assert len(whole) == 8
    for limit in (1, 2, 5):
        assert await all_pages(searched, limit=limit) == whole


#: What has harmed other searches: query languages, wildcards, JSON, quotes, all of Unicode.
HOSTILE = (
    *("accountId:theirs OR *:*", "*", "*:*", '"', "\\", '\\"', "_exists_:accountId", "/.*/", "+email -mine", "em*"),
    *('{"match_all":{}}', '"}},{"match_all":{}}', "email) OR (accountId:theirs", "NOT mine", "email~9", "[* TO *]"),
    *("theirs", "ada@example.com AND accountId:theirs", "\u202e\u0000", "𝕖𝕞𝕒𝕚𝕝 ǆ ﬁ İ", "$where", "a" * 200, "a " * 20),
)


async def test_hostile_words_find_nothing_of_others(searched: AppContext) -> None:
    """Words are words: whoever has nothing finds nothing, and nobody finds what is another's."""
    for text in HOSTILE:
        with suppress(ValueError):
            assert (await find(searched, text, account_id="nobody")).events == ()
            found = await find(searched, text)
            assert {event.account_id for event in found.events} <= {"mine"}


async def test_values_of_others_find_nothing(searched: AppContext) -> None:
    """A value is no pattern; the id of another account's action, in a word or a parameter, finds nothing."""
    for name, value in {
        "record_id": "*",
        "code": "*",
        "email": "*@*",
        "entity_type": "*",
        "action_id": "0" * 24,
    }.items():
        assert (await find(searched, **{name: value})).events == ()
    theirs = (await find(searched, account_id="theirs")).events[0].action_id
    assert theirs is not None
    assert (await find(searched, theirs)).events == ()
    assert (await find(searched, action_id=theirs)).events == ()


def tampered(after: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Cursors that nobody has given out."""
    yield ()
    yield ("nothing",)
    yield after[:-1]
    yield (*after, 1)
    for place in range(len(after)):
        for value in (-1, 2**70, "", "x" * 500, "0" * 24):
            yield (*after[:place], value, *after[place + 1 :])


async def test_cursors_of_others_show_nothing(searched: AppContext) -> None:
    """A cursor is a place, and no permission: another account's leads nowhere; one that is none is refused."""
    theirs = await find(searched, account_id="theirs", limit=1)
    assert theirs.following is not None
    for after in (theirs.following, *tampered(theirs.following)):
        with suppress(BadCursor):
            found = await find(searched, after=after)
            assert {event.account_id for event in found.events} <= {"mine"}
            assert (await find(searched, account_id="nobody", after=after)).events == ()


async def test_deleted_actions_are_not_found(searched: AppContext, bench: Bench) -> None:
    """From the answer to its deletion on nothing of an action is found."""
    [mine] = {event.action_id for event in (await find(searched)).events}
    assert mine is not None
    assert await bench.store.actions.begin_deletion(mine, "mine")
    assert (await find(searched)).events == ()
    assert (await find(searched, action_id=mine)).events == ()


# The ledger


async def test_a_page_is_bounded(filled: AppContext, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that has looked at enough says so, and the next ones have the rest."""
    await bench.finish(await bench.submit(*ROWS, chunk_rows=1, accountId="mine"))
    whole = await all_pages(filled, "row.failed")
    for name in ("_MOST_ACTIONS", "_MOST_CHUNKS", "_MOST_READ"):
        monkeypatch.setattr(ledger_search, name, 1)
    first = await find(filled, "row.failed")
    assert first.searched is not None
    assert (first.searched.actions, first.searched.chunks) == (1, 1)
    assert first.following is not None
    assert await all_pages(filled, "row.failed") == whole
    assert await all_pages(filled, row=6) == [event for event in whole if event.row == 6]


async def test_one_action_is_searched_alone(filled: AppContext, bench: Bench) -> None:
    """A search in an action finds nothing of others."""
    other = await bench.finish(await bench.submit("7,,x@example.com,active", accountId="mine"))
    found = await find(filled, action_id=other.action_id, level=Level.ERROR)
    assert [(event.action_id, event.code) for event in found.events] == [(other.action_id, "REQUIRED")]


async def test_codes_need_no_file(filled: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are read only if their ledger does not say that they have nothing that is asked for."""
    read: list[int] = []
    original = ledger_search.chunk_events

    def noted(context: AppContext, action: Action, indexes: list[int]) -> Any:
        read.extend(indexes)
        return original(context, action, indexes)

    monkeypatch.setattr(ledger_search, "chunk_events", noted)
    assert rows(await find(filled, code="DUPLICATE")) == [4]
    assert read == [0]
    assert rows(await find(filled, row=5)) == [5]
    assert read == [0, 1]


async def test_row_of_a_dead_chunk(searched: AppContext, bench: Bench) -> None:
    """It has no event of its own: that its chunk was given up is found."""
    job = await bench.submit(*ROWS, chunk_rows=2, accountId="mine")
    await bench.give_up(job.chunks[0])
    await catch_up(searched)
    for row, found in ((1, ["chunk.dead"]), (2, ["chunk.dead"]), (3, [])):
        assert [event.type for event in (await find(searched, action_id=job.action_id, row=row)).events] == found


class AwayIndex:
    """An index that cannot be reached."""

    async def search(self, search: Search) -> FoundEvents:
        raise PassingFault("away", Dependency.INDEX, away=True)


async def test_ledger_stands_in_for_the_index(filled: AppContext) -> None:
    """A search begins in the ledger while the index is away; its further pages come from there, too."""
    context = replace(filled, index_search=AwayIndex())
    assert await all_pages(context, limit=3) == list((await find(filled)).events)


# Who changed a record


async def test_changes_of_a_record(bench: Bench) -> None:
    """What rows have done to the records of an id, of every entity, the last first; and rows of it that failed."""
    contact = await bench.finish(await bench.submit("42,Ada,ada@example.com,active", accountId="mine"))
    company = await bench.finish(
        await bench.submit(
            "42,Acme",
            action_type="BULK_CREATE",
            entity_type="Company",
            columns=("id", "name"),
            accountId="mine",
        )
    )
    failed = await bench.finish(await bench.submit("42,,ada@example.com,active", accountId="mine"))
    search = Search(account_id="mine", record_id="42")
    changes = await changes_of_record(bench.context, search)
    assert changes is not None and changes.complete
    told = [(change.entity.name, change.entry.action.id) for change in changes.changes]
    assert told == [("Company", company.action_id), ("Contact", contact.action_id)]
    one = await changes_of_record(bench.context, replace(search, entity_type="Contact"))
    assert one is not None and len(one.changes) == 1
    nobodys = await changes_of_record(bench.context, replace(search, account_id="theirs"))
    assert nobodys is not None and nobodys.changes == []
    found = await search_events(bench.context, search)
    assert [(event.action_id, event.code) for event in found.events] == [(failed.action_id, "REQUIRED")]


async def test_changes_are_of_an_id_alone(bench: Bench) -> None:
    """Where something is asked for that no change has, there are none."""
    search = Search(account_id="mine", record_id="42", level=Level.ERROR)
    assert await changes_of_record(bench.context, search) is None
