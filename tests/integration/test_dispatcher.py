"""The dispatcher, the feeder and the counting on real services: what is sent again, and what is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.feeder import feed
from agents.progress import count
from app.context import AppContext
from app.domain.access import Principal, Role
from app.domain.actions import Action, Status, TransitionRefused, new_action_id
from app.domain.faults import Dependency, PassingFault
from app.domain.progress import Progress
from app.kafka.messages import Chunk, ChunkResult, Feed
from app.services.scheduling import announce_queued, reschedule, review_stalled, start_due
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
from tests.support.factories import action_document
from tests.support.fakes import MemoryProgress

ROWS = [f"{n},N,{n}@x.example,active" for n in range(4)]


@pytest.fixture
def table() -> MemoryProgress:
    return MemoryProgress()


@pytest.fixture
def context(bench: Bench, table: MemoryProgress) -> AppContext:
    settings = bench.settings.model_copy(update={"feed_window": 2, "action_max_stalls": 2})
    return bench.platform_with(progress=table, settings=settings)


def chunks_sent(bench: Bench) -> list[int]:
    """The indexes of the chunks that were sent since the last look."""
    sent = [Chunk.decode(message.value).index for message in bench.topics.chunks.sent]
    bench.topics.chunks.sent.clear()
    return sent


def feeds_sent(bench: Bench) -> list[Feed]:
    sent = [Feed.decode(message.value) for message in bench.topics.feed.sent]
    bench.topics.feed.sent.clear()
    return sent


async def age(bench: Bench, job: Job, **changes: Any) -> None:
    """Let nothing have touched the action for a long time."""
    await bench.database["bulk_operations"].update_one(
        {"_id": job.action_id}, {"$set": {"updatedAt": LONG_AGO, **changes}}
    )


async def action_of(bench: Bench, job: Job) -> Action:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return action


# Announcements


async def test_only_one_announcement_feeds(bench: Bench, context: AppContext) -> None:
    """Of several announcements one starts the action, and only that one goes on when it is delivered again."""
    job = await bench.submit(*ROWS, chunk_rows=1, status=Status.QUEUED)
    first, second = Feed.announce(job.action_id), Feed.announce(job.action_id)
    await feed(first, context)
    assert chunks_sent(bench) == [0, 1]
    await feed(second, context)
    assert chunks_sent(bench) == []
    await feed(first, context)
    assert chunks_sent(bench) == [0, 1]
    await feed(Feed(action_id=job.action_id, first=2), context)
    assert chunks_sent(bench) == [2, 3]


async def test_announcements_become_rare(bench: Bench, context: AppContext) -> None:
    """A queued action is announced again after pauses that double."""
    job = await bench.submit(*ROWS, status=Status.QUEUED, dispatchAt=NOON, dispatchAttempts=1)
    found: list[Feed] = []
    at = NOON
    for pause in (10, 20, 40, 60, 60):
        await announce_queued(context, at)
        found += feeds_sent(bench)
        at += timedelta(seconds=pause)
        await announce_queued(context, at - SHORT)
        assert feeds_sent(bench) == [], "it was announced a moment ago"
        assert len(found) + 1 == (await action_of(bench, job)).dispatch_attempts
    assert len({feed.announcement for feed in found}) == 5


async def test_a_failed_start_is_recorded(bench: Bench, context: AppContext) -> None:
    """Why it failed and how often it was tried stand at the action; the pauses grow."""
    job = await bench.submit(*ROWS, status=Status.SCHEDULED, scheduledAt=NOON)
    bench.topics.feed.faults += [PassingFault("secret", Dependency.BROKER)] * 3
    for attempts, at in enumerate((NOON, NOON + 5 * SECOND, NOON + 15 * SECOND), 1):
        await dispatch_at(context, at - SHORT if attempts > 1 else at - SECOND)
        await dispatch_at(context, at)
        action = await action_of(bench, job)
        assert (action.status, action.dispatch_attempts) == (Status.QUEUED, attempts)
        assert action.last_dispatch_error == "The broker could not be used."
    assert feeds_sent(bench) == []
    await dispatch_at(context, NOON + 35 * SECOND)
    assert len(feeds_sent(bench)) == 1
    assert (await action_of(bench, job)).dispatch_attempts == 4


# Schedules

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHORT = timedelta(milliseconds=1)


async def dispatch_at(context: AppContext, now: datetime) -> None:
    """What a turn of the dispatcher does about what waits to begin, at a time."""
    await start_due(context, now)
    await announce_queued(context, now)


async def schedule_many(bench: Bench, *moments: datetime) -> list[str]:
    """Scheduled actions, as many as there are moments; their ids in the order of these."""
    made = [action_document(status="SCHEDULED", scheduledAt=at, _id=new_action_id()) for at in moments]
    await bench.database["bulk_operations"].insert_many(made)
    return [document["_id"] for document in made]


async def test_the_earliest_start_first(bench: Bench, context: AppContext) -> None:
    """All that is due is started in one turn, in batches, in the order of the times it was scheduled for."""
    moments = [NOON - timedelta(seconds=number * 7 % 1201) for number in range(1201)]
    ids = await schedule_many(bench, *moments)
    [late] = await schedule_many(bench, NOON + SHORT)
    await start_due(context, NOON)
    started = [feed.action_id for feed in feeds_sent(bench)]
    assert started == [action_id for _, action_id in sorted(zip(moments, ids, strict=True))]
    await start_due(context, NOON + SHORT)
    assert [feed.action_id for feed in feeds_sent(bench)] == [late]


async def test_dispatchers_start_once(bench: Bench, context: AppContext) -> None:
    """Several dispatchers at once start each action once."""
    ids = await schedule_many(bench, *[NOON] * 1300)
    await asyncio.gather(*(start_due(context, NOON) for _ in range(3)))
    assert sorted(feed.action_id for feed in feeds_sent(bench)) == sorted(ids)


async def test_an_hour_late_all_is_started(bench: Bench, context: AppContext) -> None:
    """A dispatcher that was away catches up, also with what another one has claimed and not announced."""
    ids = await schedule_many(bench, *(NOON + timedelta(minutes=minute) for minute in range(60)))
    await bench.store.actions.claim_schedules(NOON, NOON + 5 * SECOND, 1)
    await dispatch_at(context, NOON + timedelta(hours=1))
    assert sorted(feed.action_id for feed in feeds_sent(bench)) == sorted(ids)


async def test_a_clock_that_goes_back(bench: Bench, context: AppContext) -> None:
    """Nothing is started twice, and what was to be announced again at a time far ahead does not wait for it."""
    ids = await schedule_many(bench, NOON, NOON)
    bench.topics.feed.faults.append(TimeoutError())
    await start_due(context, NOON + timedelta(hours=1))
    [sent] = feeds_sent(bench)
    await bench.store.actions.start(sent.action_id, sent.announcement)
    await dispatch_at(context, NOON)
    assert [feed.action_id for feed in feeds_sent(bench)] == [one for one in ids if one != sent.action_id]
    await dispatch_at(context, NOON)
    assert feeds_sent(bench) == []


async def test_a_future_change_is_looked_at(bench: Bench, context: AppContext) -> None:
    """What a clock that was ahead has changed is no less idle than anything else."""
    job = await bench.submit(*ROWS, chunk_rows=1, updatedAt=datetime.now(UTC) + timedelta(hours=1))
    await review_stalled(context)
    assert [feed.indexes for feed in feeds_sent(bench)] == [(0, 1)]
    assert (await action_of(bench, job)).updated_at < datetime.now(UTC) + SECOND  # type: ignore[operator]


# Moving a schedule

PRINCIPAL = Principal("default", Role.OPERATOR, "key 1")


async def test_a_schedule_is_moved(bench: Bench, context: AppContext) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    job = await bench.submit(*ROWS, status=Status.SCHEDULED, scheduledAt=NOON)
    moved = await reschedule(context, await action_of(bench, job), later, PRINCIPAL)
    assert (moved.status, moved.scheduled_at, moved.history[-1].by) == (Status.SCHEDULED, later, "key 1")
    await start_due(context, later - SHORT)
    assert feeds_sent(bench) == []


@pytest.mark.parametrize("wanted", [None, LONG_AGO])
async def test_a_schedule_is_run_now(bench: Bench, context: AppContext, wanted: datetime | None) -> None:
    """Null means now, and so does a time that is past."""
    job = await bench.submit(*ROWS, status=Status.SCHEDULED, scheduledAt=NOON)
    moved = await reschedule(context, await action_of(bench, job), wanted, PRINCIPAL)
    assert (moved.status, moved.scheduled_at, moved.history[-1].status) == (Status.QUEUED, wanted, Status.QUEUED)
    [sent] = feeds_sent(bench)
    await feed(sent, context)
    assert (await action_of(bench, job)).status == Status.PROCESSING


async def test_what_has_begun_is_not_moved(bench: Bench, context: AppContext) -> None:
    """Its time has come while somebody was about to move it."""
    job = await bench.submit(*ROWS, status=Status.SCHEDULED, scheduledAt=NOON)
    read = await action_of(bench, job)
    await start_due(context, NOON)
    for wanted in (None, datetime.now(UTC) + timedelta(days=1)):
        with pytest.raises(TransitionRefused) as refused:
            await reschedule(context, read, wanted, PRINCIPAL)
        assert refused.value.status == Status.QUEUED
    assert len(feeds_sent(bench)) == 1


# Stalls


async def look(bench: Bench, context: AppContext, job: Job, **changes: Any) -> list[int]:
    """One look of the watchdog at the action; the chunks that it sends again."""
    await age(bench, job, **changes)
    await review_stalled(context)
    return [index for sent in feeds_sent(bench) for index in sent.indexes or ()]


async def test_action_waits_while_others_move(bench: Bench, context: AppContext) -> None:
    """An action waits while others move.

    Its chunks are sent again once and not begun: as long as others have results it does not stall.
    """
    await bench.finish(await bench.submit("other,O,o@x.example,active"))
    job = await bench.submit(*ROWS, chunk_rows=1)
    assert await look(bench, context, job) == [0, 1]
    for _ in range(5):
        assert await look(bench, context, job) == []
    assert (await action_of(bench, job)).status == Status.PROCESSING


async def test_action_fails_where_nothing_moves(bench: Bench, context: AppContext) -> None:
    """An action fails where nothing moves.

    Nothing of any action has a result: after the last stall it is FAILED with the reason.
    """
    job = await bench.submit(*ROWS, chunk_rows=1)
    for _ in range(4):
        await look(bench, context, job)
    action = await action_of(bench, job)
    assert action.status == Status.FAILED
    assert "4 of 4 chunks have no result" in (action.error or "")


async def test_chunks_begun_in_vain_are_stalls(bench: Bench, context: AppContext) -> None:
    """Its chunks are begun and never have a result, while others move."""
    await bench.finish(await bench.submit("other,O,o@x.example,active"))
    job = await bench.submit(*ROWS, chunk_rows=1)
    await look(bench, context, job)
    await bench.store.ledger.open(job.chunk_ids[0])
    assert await look(bench, context, job) == []
    assert (await action_of(bench, job)).stalls == 0, "somebody may have it in hand"
    await bench.database["chunk_openings"].update_many({}, {"$set": {"at": LONG_AGO}})
    for _ in range(3):
        await look(bench, context, job)
    assert (await action_of(bench, job)).status == Status.FAILED


async def test_a_new_result_begins_anew(bench: Bench, context: AppContext) -> None:
    """Stalls count in a row."""
    job = await bench.submit(*ROWS, chunk_rows=1)
    for _ in range(3):
        await look(bench, context, job)
    assert (await action_of(bench, job)).stalls == 2
    await bench.run(job.chunks[1])
    assert await look(bench, context, job) == [2]
    assert (await action_of(bench, job)).stalls == 0


async def test_an_outage_is_no_stall(bench: Bench, context: AppContext) -> None:
    """While the storage is away nothing is counted and nothing sent."""
    job = await bench.submit(*ROWS, chunk_rows=1)
    bench.context.dependencies._probes["the storage"] = _away
    for _ in range(5):
        assert await look(bench, context, job) == []
    assert (await action_of(bench, job)).status == Status.PROCESSING


async def _away() -> None:
    raise OSError("away")


async def test_recount_repeats_no_window(bench: Bench, context: AppContext, table: MemoryProgress) -> None:
    """A recount asks for no window twice. What the table says was asked for is on its way."""
    job = await bench.submit(*ROWS, chunk_rows=1)
    await bench.run(job.chunks[0])
    table.set(job.action_id, Progress(4, fed=4))
    await count(ChunkResult(action_id=job.action_id, chunk_count=4), context)
    assert feeds_sent(bench) == []
    assert table.entries[job.action_id].counted_chunks == 1
