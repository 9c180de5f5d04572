"""The dispatcher, the feeder and the counting on real services: what is sent again, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.feeder import feed
from agents.progress import count
from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.progress import Progress
from app.kafka.messages import Chunk, ChunkResult, Feed
from app.services.scheduling import announce_lost, review_stalled
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
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
    job = await bench.submit(*ROWS, status=Status.QUEUED, updatedAt=LONG_AGO)
    await announce_lost(context)
    [announced] = feeds_sent(bench)
    assert announced.announcement
    await age(bench, job)
    await announce_lost(context)
    assert feeds_sent(bench) == [], "it was announced a moment ago"
    pause = timedelta(seconds=2 * context.settings.requeue_after)
    await age(bench, job, announcedAt=datetime.now(UTC) - pause)
    await announce_lost(context)
    [again] = feeds_sent(bench)
    assert again.announcement != announced.announcement
    assert (await action_of(bench, job)).announced == 2


async def test_failed_announcement_is_not_counted(bench: Bench, context: AppContext) -> None:
    """An announcement that was not taken does not count. While the broker is away the pauses do not grow."""
    job = await bench.submit(*ROWS, status=Status.QUEUED, updatedAt=LONG_AGO)
    bench.topics.feed.faults.append(TimeoutError())
    with pytest.raises(TimeoutError):
        await announce_lost(context)
    await age(bench, job)
    await announce_lost(context)
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
