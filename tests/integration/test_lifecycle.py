"""Cancelling, pausing and going on, on real services: no row twice, none lost, each counted that was written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.feeder import feed
from agents.processor import process
from app.adapters.redis.claims import Claims
from app.context import AppContext
from app.domain.access import Principal, Role
from app.domain.actions import TRANSITIONS, Action, Status, TransitionRefused, sources_of
from app.domain.faults import PassingFault
from app.kafka.messages import Chunk, Feed
from app.services.lifecycle import cancel, pause, resume
from app.services.scheduling import review_stalled
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
from tests.support.delivery import deliver_all
from tests.support.fakes import MemoryProgress

PRINCIPAL = Principal("default", Role.OPERATOR, "key 1")
ROWS = [f"{n},N,{n}@x.example,active" for n in range(12)]

Step = Callable[[], Awaitable[object]]


@pytest.fixture
def context(bench: Bench) -> AppContext:
    settings = bench.settings.model_copy(update={"feed_window": 4})
    return bench.platform_with(progress=MemoryProgress(), settings=settings)


async def action_of(bench: Bench, job: Job) -> Action:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return action


async def begin(bench: Bench, context: AppContext, *, chunks: int = 3) -> Job:
    """An action of twelve chunks, some of which have run; the rest of its window is on its way."""
    job = await bench.submit(*ROWS, chunk_rows=1, status=Status.QUEUED)
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context, chunks=chunks)
    return job


async def settle(bench: Bench, context: AppContext) -> None:
    """The clean-up of what has ended, and what it sends, when nobody has anything in hand any more."""
    for _ in range(3):
        await bench.database["chunk_openings"].update_many({}, {"$set": {"at": LONG_AGO}})
        await bench.clean_up(context)
        await deliver_all(bench, context)


async def assert_exact(bench: Bench, job: Job, *, processed: int) -> None:
    """So many rows have run, are written and are counted; the verify command agrees."""
    action = await action_of(bench, job)
    assert (action.counts.processed, action.counts.success) == (processed, processed)
    assert action.counts.processed + action.unprocessed_count == action.total_count
    assert len(await bench.contacts()) == processed
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def claims_left(bench: Bench, job: Job) -> int:
    return len(await bench.redis.keys(f"dedupe:{job.action_id}:*"))


class Interrupting:
    """A part of the platform in which something happens after one of its methods, before that returns, once."""

    def __init__(self, part: object, method: str, step: Step) -> None:
        self._part, self._method, self._step = part, method, step
        self.done = False

    def __getattr__(self, name: str) -> Any:
        original = getattr(self._part, name)
        if name != self._method or self.done:
            return original

        async def interrupted(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            self.done = True
            await self._step()
            return result

        return interrupted


class Parts:
    """The stores with some of them replaced."""

    def __init__(self, store: object, **parts: object) -> None:
        self._store = store
        self.__dict__.update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def with_ledger(context: AppContext, method: str, step: Step) -> dict[str, Any]:
    return {"store": Parts(context.store, ledger=Interrupting(context.store.ledger, method, step))}


def with_claims(context: AppContext, method: str, step: Step) -> dict[str, Any]:
    return {"claims": Interrupting(context.claims, method, step)}


# What is allowed

STEPS = {"cancel": (cancel, Status.CANCELLED), "pause": (pause, Status.PAUSED), "resume": (resume, Status.PROCESSING)}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("name", list(STEPS))
async def test_steps_follow_the_machine(bench: Bench, context: AppContext, name: str, status: Status) -> None:
    """What the status does not allow is refused, and changes nothing; what it allows stands in the history."""
    step, target = STEPS[name]
    job = await bench.submit(*ROWS, status=status)
    before = await action_of(bench, job)
    allowed = [Status.PAUSED] if name == "resume" else sources_of(target)
    if status in allowed:
        moved = await step(context, before, PRINCIPAL, "because")
        assert moved == await action_of(bench, job)
        latest = moved.history[-1]
        assert (moved.status, latest.status, latest.by, latest.reason) == (target, target, "key 1", "because")
        assert (moved.cancelled_by, moved.ended) == (("key 1", True) if name == "cancel" else (None, False))
    else:
        with pytest.raises(TransitionRefused) as refused:
            await step(context, before, PRINCIPAL, None)
        assert refused.value.status == status
        assert await action_of(bench, job) == before


async def test_a_start_is_no_resumption(bench: Bench) -> None:
    """An announcement that comes while an action is paused does not let it go on."""
    job = await bench.submit(*ROWS, status=Status.PAUSED)
    assert Status.PROCESSING in TRANSITIONS[Status.PAUSED]
    assert await bench.store.actions.start(job.action_id, "announcement") is None


# Cancelling


async def test_nothing_is_begun_after_a_cancel(bench: Bench, context: AppContext) -> None:
    """What was written stays and is counted; the rest never runs, though its chunks are on their way."""
    job = await begin(bench, context)
    cancelled = await cancel(context, await action_of(bench, job), PRINCIPAL)
    assert (cancelled.counts.processed, cancelled.unprocessed_count) == (3, 9)
    await deliver_all(bench, context)
    await settle(bench, context)
    await assert_exact(bench, job, processed=3)
    assert await claims_left(bench, job) == 0
    assert await bench.database["chunk_openings"].count_documents({}) == 3


async def test_a_chunk_in_hand_is_finished(bench: Bench, context: AppContext) -> None:
    """Its rows have claimed when the action is cancelled: they are written, and counted when that is told."""
    job = await begin(bench, context)

    async def interrupt() -> None:
        await cancel(context, await action_of(bench, job), PRINCIPAL)

    chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
    await process(chunk, bench.platform_with(**with_claims(context, "claim", interrupt)))
    await deliver_all(bench, context)
    await assert_exact(bench, job, processed=4)
    await settle(bench, context)
    await assert_exact(bench, job, processed=4)


async def test_a_chunk_that_had_not_claimed_is_not_run(bench: Bench, context: AppContext) -> None:
    """It was begun, and has written nothing: nothing is left of that."""
    job = await begin(bench, context)

    async def interrupt() -> None:
        await cancel(context, await action_of(bench, job), PRINCIPAL)

    chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
    await process(chunk, bench.platform_with(**with_ledger(context, "open", interrupt)))
    assert await bench.store.ledger.openings([chunk.id]) == {}
    await deliver_all(bench, context)
    await settle(bench, context)
    await assert_exact(bench, job, processed=3)


@pytest.mark.parametrize("released", [False, True], ids=["claims there", "claims gone"])
async def test_what_a_dead_worker_has_written_is_counted(bench: Bench, context: AppContext, *, released: bool) -> None:
    """It died behind the write of a chunk, and Kafka does not deliver that again: the clean-up has it finished."""
    job = await begin(bench, context)

    async def die() -> None:
        raise PassingFault("it died")

    chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
    with pytest.raises(PassingFault):
        await process(chunk, bench.platform_with(**with_ledger(context, "record_plan", die)))
    if not released:
        # This one has written its row as well.
        chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
        broken = Parts(bench.store, ledger=Parts(bench.store.ledger, close=lambda *_: die()))
        with pytest.raises(PassingFault):
            await process(chunk, bench.platform_with(store=broken))
        assert len(await bench.contacts()) == 4
    bench.topics.chunks.sent.clear()
    await cancel(context, await action_of(bench, job), PRINCIPAL)
    if released:
        await bench.claims.release(job.action_id)
    await bench.clean_up(context)
    assert not any(message.begun for message in map(Feed.decode, (sent.value for sent in bench.topics.feed.sent)))
    assert released or await claims_left(bench, job), "somebody may have it in hand"
    await settle(bench, context)
    await assert_exact(bench, job, processed=4 if released else 5)
    assert await claims_left(bench, job) == 0


async def test_a_cancel_without_redis(bench: Bench, context: AppContext) -> None:
    """The end stands; the clean-up takes no more claims when Redis is back."""
    job = await begin(bench, context)

    class Away(Claims):
        def __init__(self) -> None:
            pass

        async def close(self, action_id: str) -> None:
            raise PassingFault("away")

    cancelled = await cancel(bench.platform_with(claims=Away()), await action_of(bench, job), PRINCIPAL)
    assert cancelled.status == Status.CANCELLED
    await settle(bench, context)
    await deliver_all(bench, context)
    await assert_exact(bench, job, processed=3)


async def test_verify_finds_what_nobody_counted(bench: Bench, context: AppContext) -> None:
    """A row of a cancelled action that was written and has no outcome."""
    job = await begin(bench, context)
    await cancel(context, await action_of(bench, job), PRINCIPAL)
    await bench.database["chunk_outcomes"].delete_one({"_id": job.chunk_ids[1]})
    found = [text async for text in verify(bench.store, bench.storage, await action_of(bench, job))]
    assert "row 2 has no outcome, but its record was written" in found


# Pausing and going on


async def test_a_pause_holds(bench: Bench, context: AppContext) -> None:
    """Nothing is begun while it lasts; afterwards all that is missing runs, once."""
    job = await begin(bench, context)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.PAUSED
    assert len(await bench.contacts()) == 3
    await resume(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.COMPLETED
    await assert_exact(bench, job, processed=12)
    assert await bench.database["chunk_openings"].count_documents({"openings": {"$gt": 1}}) == 0


async def test_chunks_in_hand_are_counted_in_a_pause(bench: Bench, context: AppContext) -> None:
    job = await begin(bench, context)

    async def interrupt() -> None:
        await pause(context, await action_of(bench, job), PRINCIPAL)

    chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
    await process(chunk, bench.platform_with(**with_ledger(context, "open", interrupt)))
    await deliver_all(bench, context)
    await context.reporter.flush()
    paused = await action_of(bench, job)
    assert (paused.status, paused.counts.processed, paused.unprocessed_count) == (Status.PAUSED, 4, 0)


async def test_the_last_chunk_ends_no_pause(bench: Bench, context: AppContext) -> None:
    """It is done while the action is paused: the action ends when it goes on, with its claims until then."""
    job = await bench.submit(*ROWS[:2], chunk_rows=1, status=Status.QUEUED)
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context, chunks=1)

    async def interrupt() -> None:
        await pause(context, await action_of(bench, job), PRINCIPAL)

    chunk = Chunk.decode(bench.topics.chunks.sent.pop(0).value)
    await process(chunk, bench.platform_with(**with_ledger(context, "close", interrupt)))
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.PAUSED
    assert await bench.claims.claim(job.action_id, 2, [9], [["9"], ["9@x.example"]]) == {}
    await resume(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.COMPLETED
    await assert_exact(bench, job, processed=2)


@pytest.mark.parametrize("lost", [False, True], ids=["table there", "table lost"])
async def test_a_resumption_asks_for_what_was_dropped(bench: Bench, context: AppContext, *, lost: bool) -> None:
    """Chunks that were on their way, and a window that was asked for while the action was paused."""
    job = await begin(bench, context, chunks=4)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    bench.topics.chunks.sent.clear()
    await feed(Feed(action_id=job.action_id, first=4), context)
    assert bench.topics.chunks.sent == []
    if lost:
        context.progress.drop(job.action_id)
    await resume(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    await assert_exact(bench, job, processed=12)


async def test_a_pause_before_the_start(bench: Bench, context: AppContext) -> None:
    """The announcement that comes meanwhile starts nothing, and afterwards nothing twice."""
    job = await bench.submit(*ROWS, chunk_rows=1, status=Status.QUEUED)
    announced = Feed.announce(job.action_id)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    await feed(announced, context)
    assert bench.topics.chunks.sent == []
    resumed = await resume(context, await action_of(bench, job), PRINCIPAL)
    assert resumed.started_at is not None
    await feed(announced, context)
    await deliver_all(bench, context)
    await assert_exact(bench, job, processed=12)
    assert await bench.database["chunk_openings"].count_documents({"openings": {"$gt": 1}}) == 0


async def test_a_long_pause_outlives_its_claims(bench: Bench, context: AppContext) -> None:
    """They have expired meanwhile: they are rebuilt, and no row owns what another has written."""
    job = await begin(bench, context)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    await bench.claims.release(job.action_id)
    await resume(context, await action_of(bench, job), PRINCIPAL)
    await bench.clean_up(context)
    await deliver_all(bench, context)
    await assert_exact(bench, job, processed=12)


async def test_a_lost_resumption_is_found(bench: Bench, context: AppContext) -> None:
    """The broker is away when an action is to go on: the watchdog sends its chunks."""
    job = await begin(bench, context)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    bench.topics.results.faults.append(TimeoutError())
    resumed = await resume(context, await action_of(bench, job), PRINCIPAL)
    assert resumed.status == Status.PROCESSING
    for _ in range(6):
        await bench.database["bulk_operations"].update_many({}, {"$set": {"updatedAt": LONG_AGO}})
        await review_stalled(context)
        await deliver_all(bench, context)
    await assert_exact(bench, job, processed=12)


# Stopping before it gets worse

BAD = [
    f"{n},N,{'no address' if n % 3 == 0 else f'{n}@x.example'},{'odd' if n % 4 == 1 else 'active'}" for n in range(12)
]


async def limited(bench: Bench, context: AppContext, limit: str) -> Job:
    """An action that is under way with a limit, until nothing of it moves any more."""
    job = await bench.submit(*BAD, chunk_rows=1, status=Status.QUEUED, maxFailures=limit)
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context)
    return job


async def test_too_many_failures_pause(bench: Bench, context: AppContext) -> None:
    """With the reason and what is wrong most often; it goes on regardless, and is exact."""
    job = await limited(bench, context, "2")
    paused = await action_of(bench, job)
    assert (paused.status, paused.failure_limit_reached, paused.error) == (Status.PAUSED, True, None)
    latest = paused.history[-1]
    assert (latest.by, latest.reason) == (
        "platform",
        "3 of 4 rows have failed, and maxFailures is 2. Most often: INVALID_EMAIL in email, INVALID_STATUS in status.",
    )
    assert [(kind.code, kind.count, kind.first_row) for kind in paused.common_failures] == [
        ("INVALID_EMAIL", 2, 1),
        ("INVALID_STATUS", 1, 2),
    ]
    assert await bench.database["chunk_openings"].count_documents({}) <= 4 + 4, "a window at most is on its way"
    await resume(context, paused, PRINCIPAL)
    await deliver_all(bench, context)
    ended = await action_of(bench, job)
    assert (ended.status, ended.counts.failure, ended.counts.success) == (Status.COMPLETED, 6, 6)
    assert [text async for text in verify(bench.store, bench.storage, ended)] == []


async def test_a_lifted_limit_stays_lifted(bench: Bench, context: AppContext) -> None:
    """The table of the progress agent is that of before the pause, and its results are delivered again."""
    job = await limited(bench, context, "2")
    table = context.progress
    progress = table.get(job.action_id)
    assert progress is not None
    await resume(context, await action_of(bench, job), PRINCIPAL)
    bench.topics.results.sent.clear()
    table.set(job.action_id, progress.limited((await action_of(bench, job)).max_failures))
    await bench.run(job.chunks[4], job.chunks[9])
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.PROCESSING


async def test_a_limit_outlives_a_pause(bench: Bench, context: AppContext) -> None:
    """Somebody has paused the action before the limit was reached: it still stops it."""
    job = await bench.submit(*BAD, chunk_rows=1, status=Status.QUEUED, maxFailures="2")
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context, chunks=1)
    await pause(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    await resume(context, await action_of(bench, job), PRINCIPAL)
    await deliver_all(bench, context)
    paused = await action_of(bench, job)
    assert (paused.status, paused.failure_limit_reached) == (Status.PAUSED, True)


async def test_a_limit_that_is_reached_at_the_end(bench: Bench, context: AppContext) -> None:
    """There is nothing left to be stopped."""
    job = await bench.submit(*BAD, chunk_rows=100, status=Status.QUEUED, maxFailures="0")
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context)
    assert (await action_of(bench, job)).status == Status.COMPLETED


async def test_a_share_waits_for_a_thousand(bench: Bench, context: AppContext) -> None:
    rows = [f"{n},N,{'no address' if n < 900 else f'{n}@x.example'},active" for n in range(3000)]
    job = await bench.submit(*rows, chunk_rows=100, status=Status.QUEUED, maxFailures="80%")
    await feed(Feed.announce(job.action_id), context)
    await deliver_all(bench, context)
    paused = await action_of(bench, job)
    assert (paused.status, paused.history[-1].reason) == (
        Status.PAUSED,
        "900 of 1,000 rows have failed, and maxFailures is 80%. Most often: INVALID_EMAIL in email.",
    )


async def test_failures_of_a_lost_file_are_told(bench: Bench, context: AppContext) -> None:
    """Which column is wrong cannot be looked up any more, the codes can."""
    job = await bench.submit(*BAD, chunk_rows=1, status=Status.QUEUED, maxFailures="2")
    await feed(Feed.announce(job.action_id), context)
    for _ in range(4):
        await process(Chunk.decode(bench.topics.chunks.sent.pop(0).value), context)
    await bench.storage.delete(f"{job.action_id}/upload.csv")
    await deliver_all(bench, context)
    [kind, *_] = (await action_of(bench, job)).common_failures
    assert (kind.code, kind.column) == ("INVALID_EMAIL", None)
