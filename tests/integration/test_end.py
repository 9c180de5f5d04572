"""The end of an action: it is durable before its claims are forgotten, and its counters are those of its ledger."""

from __future__ import annotations

import asyncio

import pytest

from agents.cleanup import clean_up
from agents.progress import count
from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.outcomes import Counts
from app.domain.progress import Progress
from app.kafka.messages import ChunkResult
from app.services.completion import complete_if_done, end_action, recount, summarize_ledger
from app.services.scheduling import review_stalled
from app.services.verification import verify
from tests.integration.test_dispatcher import action_of, chunks_sent, feeds_sent
from tests.support.bench import Bench, Job
from tests.support.claims import store_old_claims
from tests.support.clocks import LONG_AGO
from tests.support.fakes import MemoryProgress

#: Of each pair of chunks one has a duplicate of the other.
ROWS = [
    "a,A,a@x.example,active",
    "bad,Bad,no address,active",
    "a,Again,b@x.example,active",
    "c,C,c@x.example,active",
    "d,D,C@x.example,active",
    "e,E,e@x.example,active",
]
NAMES = {"a": "A", "c": "C", "e": "E"}


@pytest.fixture
def table() -> MemoryProgress:
    return MemoryProgress()


@pytest.fixture
def context(bench: Bench, table: MemoryProgress) -> AppContext:
    return bench.platform_with(progress=table)


async def assert_exact(bench: Bench, job: Job) -> None:
    """All is as if nothing had ever been lost."""
    action = await action_of(bench, job)
    assert action.status == Status.COMPLETED
    assert action.counts == Counts(success=3, failure=1, skipped=2, duplicate=2, created=3)
    assert await bench.names() == NAMES
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def lose(bench: Bench, job: Job, before: Action, *chunks: int) -> None:
    """What a database that was killed has lost: the end of the action, and the last entries of the ledger."""
    await bench.database["bulk_operations"].replace_one({"_id": job.action_id}, before.to_document())
    for index in chunks:
        await bench.database["chunk_outcomes"].delete_one({"_id": job.chunk_ids[index]})


# Claims


async def test_claims_outlive_the_end(bench: Bench, context: AppContext) -> None:
    """They are forgotten later, when the end cannot be lost any more."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(*job.chunks)
    await complete_if_done(context, job.action_id, 3)
    claims = await bench.redis.keys(f"dedupe:{job.action_id}:*")
    assert claims
    await clean_up(context)
    assert await bench.redis.keys(f"dedupe:{job.action_id}:*") == claims, "its time has not come"
    await bench.clean_up(context)
    assert await bench.redis.keys(f"dedupe:{job.action_id}:*") == []
    assert (await action_of(bench, job)).cleanup_at is not None, "it is looked at once more"
    await bench.clean_up(context)
    assert (await action_of(bench, job)).cleanup_at is None
    await assert_exact(bench, job)


async def test_an_end_that_was_lost(bench: Bench, context: AppContext) -> None:
    """A database that was killed has lost the end and the last entries: the chunks run again and find their claims."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    before = await action_of(bench, job)
    await bench.run(*job.chunks)
    await complete_if_done(context, job.action_id, 3)
    await lose(bench, job, before, 1, 2)
    await bench.run(job.chunks[2], job.chunks[1])
    await complete_if_done(context, job.action_id, 3)
    await assert_exact(bench, job)


@pytest.mark.parametrize("order", [(2, 1), (1, 2)])
async def test_an_end_that_was_lost_later(bench: Bench, context: AppContext, order: tuple[int, int]) -> None:
    """The claims are gone already: they are rebuilt, and no row owns what another has written."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    before = await action_of(bench, job)
    await bench.run(*job.chunks)
    await complete_if_done(context, job.action_id, 3)
    await bench.clean_up(context)
    await lose(bench, job, before, *order)
    await bench.run(job.chunks[2])
    assert await bench.store.ledger.entry(job.chunk_ids[2]) is None
    await bench.database["bulk_operations"].update_one({"_id": job.action_id}, {"$set": {"updatedAt": LONG_AGO}})
    await review_stalled(context)
    await bench.clean_up(context)
    assert [feed.indexes for feed in feeds_sent(bench)] == [(1, 2)]
    await bench.run(*(job.chunks[index] for index in order))
    await complete_if_done(context, job.action_id, 3)
    await assert_exact(bench, job)


@pytest.mark.parametrize("generation", ["", "2"])
async def test_claims_of_version_0_1(bench: Bench, context: AppContext, generation: str) -> None:
    """An action that ran during the upgrade goes on: its claims are in another form, and are rebuilt."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    await bench.redis.delete(f"dedupe:{job.action_id}:claims:1")
    await store_old_claims(bench.redis, job.action_id, generation=generation)
    await bench.run(job.chunks[1])
    assert await bench.store.ledger.entry(job.chunk_ids[1]) is None
    await bench.database["bulk_operations"].update_one({"_id": job.action_id}, {"$set": {"updatedAt": LONG_AGO}})
    await review_stalled(context)
    await bench.clean_up(context)
    assert [feed.indexes for feed in feeds_sent(bench)] == [(1, 2)]
    await bench.run(*job.chunks[1:])
    await complete_if_done(context, job.action_id, 3)
    await assert_exact(bench, job)
    await bench.clean_up(context)
    assert await bench.redis.keys(f"dedupe:{job.action_id}:*") == []


async def test_claims_that_two_rebuild_at_once(bench: Bench, context: AppContext) -> None:
    """Whoever was overtaken does not open what the other has not finished."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(*job.chunks[:2])
    await bench.claims.release(job.action_id)
    first = await bench.claims.begin_rebuild(job.action_id)
    second = await bench.claims.begin_rebuild(job.action_id)
    assert not await bench.claims.finish_rebuild(job.action_id, first)
    assert await bench.claims.are_gone(job.action_id)
    assert await bench.claims.finish_rebuild(job.action_id, second)
    assert not await bench.claims.are_gone(job.action_id)


async def test_end_is_journaled(bench: Bench) -> None:
    """An end is written with the journal, beside whatever the address asks for."""
    assert bench.store.actions._journaled.write_concern.document["j"] is True


# Counters


async def test_older_counters_change_nothing(bench: Bench, context: AppContext) -> None:
    """Whoever folded the ledger before another does not write after it."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    old = await summarize_ledger(context, job.action_id, 3)
    await bench.run(job.chunks[1])
    await end_action(context, job.action_id, Status.FAILED, await summarize_ledger(context, job.action_id, 3))
    await bench.run(job.chunks[2])
    await recount(context, job.action_id, 3)
    newest = await action_of(bench, job)
    await bench.store.actions.correct_counts(job.action_id, old.progress.counts, old.version)
    assert await action_of(bench, job) == newest


async def test_recounts_agree_with_ledger(bench: Bench, context: AppContext) -> None:
    """Recounts at once agree with the ledger. Many recounts, while chunks of a failed action come late."""
    job = await bench.submit(*[f"{n},N,{n}@x.example,active" for n in range(40)], chunk_rows=2)
    await end_action(context, job.action_id, Status.FAILED, await summarize_ledger(context, job.action_id, 20))
    await bench.claims.reopen(job.action_id)
    await bench.redis.delete(f"dedupe:{job.action_id}")

    async def late(index: int) -> None:
        await bench.run(job.chunks[index])
        await recount(context, job.action_id, 20)

    await asyncio.gather(*map(late, range(20)))
    action = await action_of(bench, job)
    assert action.counts == Counts(success=40, created=40)
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def failed_in_hand(bench: Bench, context: AppContext, table: MemoryProgress) -> Job:
    """An action that was FAILED with one chunk counted and another one in hand, which is closed afterwards."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    fold = await summarize_ledger(context, job.action_id, 3)
    table.set(job.action_id, fold.progress)
    assert await end_action(context, job.action_id, Status.FAILED, fold)
    await bench.claims.reopen(job.action_id)
    await bench.run(job.chunks[1])
    return job


async def test_a_late_result_is_counted(bench: Bench, context: AppContext, table: MemoryProgress) -> None:
    """Of an action that was FAILED in the meantime; the progress table keeps nothing of it."""
    job = await failed_in_hand(bench, context, table)
    late = bench.topics.results.results[-1]
    await count(ChunkResult(action_id=job.action_id, chunk_count=3), context)
    assert table.entries == {}
    await count(late, context)
    assert table.entries == {}
    action = await action_of(bench, job)
    assert action.counts.processed == 4
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


async def test_lost_late_result_is_counted(bench: Bench, context: AppContext, table: MemoryProgress) -> None:
    """A late result that is lost is counted. The clean-up compares once more, and has the table forget the action."""
    job = await failed_in_hand(bench, context, table)
    bench.topics.results.sent.clear()
    await bench.clean_up(context)
    action = await action_of(bench, job)
    assert action.counts.processed == 4
    assert [text async for text in verify(bench.store, bench.storage, action)] == []
    for result in bench.topics.results.results:
        await count(result, context)
    assert table.entries == {}


async def test_failed_action_leaves_no_entry(bench: Bench, table: MemoryProgress) -> None:
    """An action that is given up leaves no entry.

    The watchdog has the progress table forget an action that it fails.
    """
    settings = bench.settings.model_copy(update={"action_max_stalls": 1})
    context = bench.platform_with(progress=table, settings=settings)
    job = await bench.submit(*ROWS, chunk_rows=2, updatedAt=LONG_AGO, stalls=1, stalledAt=0)
    table.set(job.action_id, Progress(3))
    await review_stalled(context)
    assert (await action_of(bench, job)).status == Status.FAILED
    for result in bench.topics.results.results:
        await count(result, context)
    assert table.entries == {}
    assert chunks_sent(bench) == []


async def test_lying_result_ends_nothing(bench: Bench, context: AppContext) -> None:
    """A message that lies about the chunks of its action ends nothing.

    How many chunks an action has is known from the action: a result that says less does not end it early.
    """
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    zero = Counts().to_document()
    for index in range(3):
        await count(ChunkResult(action_id=job.action_id, index=index, chunk_count=1, counts=zero), context)
    assert (await action_of(bench, job)).status == Status.PROCESSING
