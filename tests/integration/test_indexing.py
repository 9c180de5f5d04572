"""What goes into the index of events, and what does not, on a real Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.search.mapping import all_indices
from app.domain.action_events import transition_events
from app.domain.actions import Status
from app.domain.dead_letters import Kind, State
from app.domain.events import EventType
from app.domain.indexing import IndexedEvent
from app.services.action_events import chunk_events
from app.services.indexing import Indexer, look_after_index
from app.services.replays import find_obstacle, start_replay
from stack import Stack
from tests.support.bench import Bench, Job
from tests.support.indexing import IndexBench, index_settings

ROWS = (
    "1,Ada,ada@example.com,active",
    "G-1,No Mail,nobody,active",
    "1,Ada again,ada2@example.com,active",
    "5,Eve,eve@example.com,active",
)


@pytest.fixture
async def search(bench: Bench, elasticsearch: Stack) -> AsyncIterator[IndexBench]:
    opened = IndexBench(bench, index_settings(elasticsearch))
    yield opened
    await opened.close()


async def expected(bench: Bench, job: Job) -> set[str]:
    """The ids of all events of an action."""
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    chunks = [found async for _, found in chunk_events(bench.context, action, range(action.chunk_count))]
    return {event.id for event in (*transition_events(action), *(one for chunk in chunks for one in chunk))}


async def waiting(bench: Bench) -> int:
    return (await bench.store.index_queue.backlog()).actions


async def test_all_of_an_action_is_indexed(bench: Bench, search: IndexBench) -> None:
    """Each event of it once, as it is told from the ledger, and nothing waits then."""
    job = await bench.finish(await bench.submit(*ROWS, chunk_rows=2))
    assert await waiting(bench) == 1
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)
    assert await waiting(bench) == 0
    [failed] = await search.found(row=2)
    assert (failed.type, failed.code, failed.record_id) == (EventType.ROW_FAILED, "INVALID_EMAIL", "G-1")


async def test_chunks_are_indexed_as_they_end(bench: Bench, search: IndexBench) -> None:
    job = await bench.submit(*ROWS, chunk_rows=1)
    await bench.run(job.chunks[2], job.chunks[0])
    await search.catch_up()
    assert {event.chunk for event in await search.found(type=EventType.CHUNK_COMPLETED)} == {0, 2}
    await bench.finish(job)
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)


async def test_replay_takes_place_of_dead_chunk(bench: Bench, search: IndexBench) -> None:
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.give_up(job.chunks[0])
    await search.catch_up()
    [dead] = await search.found(type=EventType.CHUNK_DEAD)
    assert [await search.found(row=row) for row in (1, 2, 3)] == [(dead,), (dead,), ()]
    await bench.finish(job)
    await search.catch_up()
    assert await search.found(type=EventType.CHUNK_DEAD) == ()
    assert dead.id in await search.documents()
    assert set(await search.documents()) == await expected(bench, job)


async def test_late_writer_changes_nothing(bench: Bench, search: IndexBench) -> None:
    """What a worker has read before a replay does not replace what another has indexed after it."""
    job = await bench.submit(*ROWS, chunk_rows=4)
    await bench.give_up(job.chunks[0])
    await search.catch_up()
    [dead] = await search.found(type=EventType.CHUNK_DEAD)
    await bench.finish(job)
    await search.catch_up()
    action = await bench.store.actions.get(job.action_id)
    assert action is not None and action.started_at is not None
    assert await search.index.write([IndexedEvent(dead, action.started_at)]) == []
    await search.index.refresh()
    assert await search.found(type=EventType.CHUNK_DEAD) == ()


async def test_change_meanwhile_is_not_forgotten(bench: Bench, search: IndexBench) -> None:
    """An action that changes while it is indexed stays due."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    queue, now = bench.store.index_queue, datetime.now(UTC)
    claimed = await queue.claim(job.action_id, now, timedelta(seconds=60))
    assert claimed is not None
    assert await queue.claim(job.action_id, now, timedelta(seconds=60)) is None
    await bench.finish(job)
    await queue.finish(claimed, claimed.indexed)
    assert await waiting(bench) == 1
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)


async def test_lease_of_the_dead_runs_out(bench: Bench, search: IndexBench) -> None:
    job = await bench.finish(await bench.submit(*ROWS))
    queue, now = bench.store.index_queue, datetime.now(UTC)
    assert await queue.claim(job.action_id, now, timedelta(0))
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)


async def test_two_workers_index_once(bench: Bench, search: IndexBench) -> None:
    jobs = [await bench.finish(await bench.submit(*ROWS, chunk_rows=1)) for _ in range(3)]
    await asyncio.gather(search.indexer.index(search.context), Indexer().index(search.context))
    await search.index.refresh()
    wanted = [await expected(bench, job) for job in jobs]
    assert set(await search.documents()) == set().union(*wanted)


async def test_actions_of_before_are_indexed(bench: Bench, search: IndexBench) -> None:
    """An action of a version without an index is found as well."""
    job = await bench.finish(await bench.submit(*ROWS))
    await bench.database["bulk_operations"].update_many({}, {"$unset": {"indexAt": "", "indexVersion": ""}})
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)


async def test_rebuilt_from_the_ledger(bench: Bench, search: IndexBench) -> None:
    """An index that is gone is made again, also what somebody has just claimed."""
    job = await bench.finish(await bench.submit(*ROWS))
    await search.catch_up()
    await search.client.indices.delete(index=f"{search.prefix}-events-{datetime.now(UTC):%Y.%m}")
    assert await bench.store.index_queue.forget(datetime.now(UTC)) == 1
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, job)


async def test_refused_events_are_dead_letters(bench: Bench, search: IndexBench) -> None:
    """With the reason; the others are indexed, nothing waits, and a replay indexes them when the mapping is mended."""
    job = await bench.finish(await bench.submit(*ROWS, chunk_rows=2))
    name = await search.with_mapping(datetime.now(UTC), recordId={"type": "integer"})
    await search.catch_up()
    assert await waiting(bench) == 0
    letters = await bench.store.dead_letters.page(["default"], 10)
    [letter] = [letter for letter in letters if letter.kind is Kind.EVENTS]
    assert letter.index == 0 and "recordId" in letter.error and b":r2" in letter.payload
    assert set(await search.documents()) == await expected(bench, job) - {f"{job.action_id}:r2"}
    await search.client.indices.delete(index=name)
    assert await find_obstacle(search.context, letter) is None
    assert await start_replay(search.context, letter)
    await search.catch_up()
    current = await bench.store.dead_letters.get(letter.id)
    assert current is not None and current.status is State.DONE
    assert f"{job.action_id}:r2" in await search.documents()


async def test_index_closed_to_writes_waits(bench: Bench, search: IndexBench) -> None:
    """An index that takes nothing for a while is no reason for dead letters."""
    first = await bench.finish(await bench.submit(*ROWS[:1]))
    await search.catch_up()
    await search.client.indices.put_settings(index=all_indices(search.prefix), settings={"index.blocks.write": True})
    second = await bench.finish(await bench.submit(*ROWS[1:]))
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, first)
    assert await waiting(bench) == 1
    await search.client.indices.put_settings(index=all_indices(search.prefix), settings={"index.blocks.write": None})
    search.indexer._not_before = 0.0
    await search.catch_up()
    assert set(await search.documents()) == await expected(bench, first) | await expected(bench, second)
    assert await bench.store.dead_letters.page(["default"], 10) == []


async def test_deleted_action_leaves_index(bench: Bench, search: IndexBench) -> None:
    """With all of its events, and nothing of another action."""
    gone = await bench.finish(await bench.submit(*ROWS, chunk_rows=1))
    kept = await bench.finish(await bench.submit(*ROWS, chunk_rows=1))
    await search.catch_up()
    assert await bench.store.actions.begin_deletion(gone.action_id, "default")
    await bench.clean_up(search.context)
    assert set(await search.documents()) == await expected(bench, kept)


async def test_expired_action_leaves_index(bench: Bench, search: IndexBench) -> None:
    """Also where the database has removed it by itself."""
    job = await bench.submit(*ROWS)
    ended = datetime.now(UTC)
    await bench.run(*job.chunks)
    await bench.store.actions.transition(job.action_id, Status.COMPLETED, retainedUntil=ended)
    await search.catch_up()
    assert await search.documents()
    await bench.database["bulk_operations"].delete_one({"_id": job.action_id})
    await look_after_index(search.context)
    assert await search.documents() == {}


async def test_old_months_are_dropped(search: IndexBench) -> None:
    """Only those of this installation, and only when all of a month is older than events are kept."""
    now = datetime(2026, 11, 30, tzinfo=UTC)
    names = [f"{search.prefix}-events-{month}" for month in ("2026.07", "2026.08", "2026.09")]
    for name in (*names, f"{search.prefix}-events-2020-notes"):
        await search.client.indices.create(index=name)
    assert await search.index.drop_old(now) == [f"{search.prefix}-events-2026.07", f"{search.prefix}-events-2026.08"]
    assert await search.index.drop_old(now) == []
    await search.client.indices.delete(index=[names[2], f"{search.prefix}-events-2020-notes"])


async def test_pages_follow_each_other(bench: Bench, search: IndexBench) -> None:
    """Every event once, the newest first, with the counts of all of them."""
    rows = [f"{number},Name,wrong,active" for number in range(25)]
    await bench.finish(await bench.submit(*rows, chunk_rows=5))
    await search.catch_up()
    seen, after, pages = [], None, 0
    while True:
        page = await search.search(code="INVALID_EMAIL", limit=10, after=after)
        seen += [event.row for event in page.events]
        pages += 1
        if (after := page.following) is None:
            break
    assert (sorted(seen), pages) == (list(range(1, 26)), 3)
    assert page.counts["code"] == {"INVALID_EMAIL": 25}
    assert page.counts["entity"] == {"Contact": 25}
    assert page.counts["status"] == {"FAILED": 25}
    assert page.counts["day"] == {f"{datetime.now(UTC):%Y-%m-%d}": 25}
