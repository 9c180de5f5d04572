"""Replays of dead letters: each ends in DONE, or in DEAD with the reason, whatever dies in between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agents.dead_letters import keep_poison, store_dead_letter
from agents.processor import process
from agents.progress import count
from app.adapters.redis.claims import ClaimsReleased
from app.context import AppContext
from app.domain.actions import Status
from app.domain.dead_letters import DeadLetter, Obstacle
from app.kafka.messages import Chunk, ChunkResult, Feed
from app.kafka.retry_headers import RetryHeaders
from app.services.completion import complete_if_done
from app.services.replays import NO_OUTCOME, find_obstacle, start_replay
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.fakes import MemoryProgress, event

#: Chunks of two rows. The second chunk, which is given up, has a row of its own, a duplicate of a row of the first
#: chunk, and row 4, of which a row of the third chunk would be a duplicate.
ROWS = [
    "a,A,a@x.example,active",
    "b,B,b@x.example,active",
    "a,Again,c@x.example,active",
    "d,D,d@x.example,active",
    "d,Later,e@x.example,active",
    "f,F,f@x.example,active",
]
NAMES = {"a": "A", "b": "B", "d": "Later", "f": "F"}
REPLAYED_NAMES = NAMES


@pytest.fixture
def context(bench: Bench) -> AppContext:
    return bench.platform_with(
        progress=MemoryProgress(), settings=bench.settings.model_copy(update={"claims_release_after": 0.001})
    )


async def give_up(bench: Bench, chunk: Chunk, *, offset: int = 5) -> Any:
    """Let a chunk come to the dead letters; the event, to be delivered again."""
    headers = RetryHeaders.after(event(topic=bench.topics.chunks.name), "it was never to be").to_headers()
    dead = event(chunk.encode(), topic=bench.topics.dead.name, headers=headers, offset=offset)
    await store_dead_letter(dead, bench.context)
    return dead


async def half_dead(bench: Bench, context: AppContext) -> Job:
    """A COMPLETED action of which the second of three chunks was given up."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0], job.chunks[2])
    await give_up(bench, job.chunks[1])
    assert (await complete_if_done(context, job.action_id, 3)).progress.complete
    bench.topics.results.sent.clear()
    return job


async def letter(bench: Bench, job: Job) -> DeadLetter:
    found = await bench.store.dead_letters.get(job.chunk_ids[1])
    assert found is not None
    return found


async def deliver(bench: Bench, context: AppContext) -> int:
    """Run the chunks that were sent; how many."""
    sent = [Chunk.decode(message.value) for message in bench.topics.chunks.sent]
    bench.topics.chunks.sent.clear()
    for chunk in sent:
        await process(chunk, context)
    return len(sent)


async def assert_done(bench: Bench, job: Job) -> None:
    """The letter is DONE, and all is as if the chunk had never died."""
    assert (await letter(bench, job)).status == "DONE"
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert (action.counts.success, action.counts.failure, action.counts.skipped) == (4, 0, 2)
    [outcome] = (await bench.store.ledger.outcomes([job.chunk_ids[1]])).values()
    assert [(e.row, e.owner) for e in outcome.exceptions] == [(3, 1), (4, 5)]
    assert await bench.names() == NAMES
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


# Each place where a replay can be cut


async def test_a_replay_is_done(bench: Bench, context: AppContext) -> None:
    """The usual way: the clean-up finds out its duplicates, sends it, and the recount marks it."""
    job = await half_dead(bench, context)
    assert await start_replay(context, await letter(bench, job), "key of one")
    assert not await start_replay(context, await letter(bench, job), "key of another")
    assert (await letter(bench, job)).replayed_by == "key of one"
    await bench.clean_up(context)
    assert await deliver(bench, context) == 1
    [recount] = [result for result in bench.topics.results.results if result.index is None][-1:]
    await count(recount, context)
    await assert_done(bench, job)


async def test_a_replay_that_was_never_sent(bench: Bench, context: AppContext) -> None:
    """Whoever marked the letter died before it sent the message."""
    job = await half_dead(bench, context)
    assert await bench.store.dead_letters.claim_replay(job.chunk_ids[1], datetime.now(UTC))
    for _ in range(2):
        await bench.clean_up(context)
        await deliver(bench, context)
    await bench.clean_up(context)
    await assert_done(bench, job)


async def test_a_replay_without_its_recount(bench: Bench, context: AppContext) -> None:
    """Whoever ran the chunk died between the entry and the recount: nobody is told."""
    job = await half_dead(bench, context)
    await start_replay(context, await letter(bench, job))
    await bench.clean_up(context)
    await deliver(bench, context)
    bench.topics.results.sent.clear()
    await bench.clean_up(context)
    await assert_done(bench, job)


async def test_a_replay_that_was_recounted_only(bench: Bench, context: AppContext) -> None:
    """Whoever recounted died before the letter was marked."""
    job = await half_dead(bench, context)
    await start_replay(context, await letter(bench, job))
    await bench.clean_up(context)
    await deliver(bench, context)
    await complete_if_done(context, job.action_id, 3)
    assert (await letter(bench, job)).status == "REPLAYED"
    await bench.clean_up(context)
    await assert_done(bench, job)


async def test_replayed_chunk_dies_again(bench: Bench, context: AppContext) -> None:
    """A chunk that dies again is dead again, with the reason; and its next replay finds what it needs."""
    job = await half_dead(bench, context)
    await start_replay(context, await letter(bench, job))
    await bench.clean_up(context)
    bench.topics.chunks.sent.clear()
    await give_up(bench, job.chunks[1].model_copy(update={"replay": True}), offset=6)
    dead = await letter(bench, job)
    assert (dead.status, dead.error) == ("DEAD", "it was never to be")
    assert await start_replay(context, dead)
    assert await deliver(bench, context) == 1
    await bench.clean_up(context)
    await assert_done(bench, job)


async def test_a_death_that_is_told_twice(bench: Bench, context: AppContext) -> None:
    """The message of the death is delivered again after the replay: the letter stays DONE."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0], job.chunks[2])
    death = await give_up(bench, job.chunks[1])
    await complete_if_done(context, job.action_id, 3)
    await start_replay(context, await letter(bench, job))
    for _ in range(2):
        await bench.clean_up(context)
        await deliver(bench, context)
    await store_dead_letter(death, bench.context)
    await assert_done(bench, job)
    await give_up(bench, job.chunks[1], offset=7)
    await assert_done(bench, job)


async def test_unrun_replay_is_dead_again(bench: Bench, context: AppContext) -> None:
    """A replay that nobody runs is dead again. It is sent a bounded number of times, after pauses that double."""
    job = await half_dead(bench, context)
    await start_replay(context, await letter(bench, job))
    sent = 0
    for _ in range(30):
        await bench.clean_up(context)
        sent += len(bench.topics.chunks.sent)
        bench.topics.chunks.sent.clear()
    dead = await letter(bench, job)
    assert (sent, dead.status, dead.error) == (10, "DEAD", NO_OUTCOME)


# What a replay needs


async def test_nothing_is_kept_in_redis(bench: Bench, context: AppContext) -> None:
    """Of an action with a dead chunk no claim is left, and the duplicates of the chunk are stored."""
    job = await half_dead(bench, context)
    await bench.clean_up(context)
    assert await bench.redis.keys(f"dedupe:{job.action_id}:*") == []
    assert await bench.redis.zscore("dedupe:expiry", f"dedupe:{job.action_id}") is None
    assert await bench.store.ledger.owners(job.chunk_ids[1]) == {3: 1, 4: 5}
    with pytest.raises(ClaimsReleased):
        await bench.claims.claim(job.action_id, 1, [1], [["x"]])


@pytest.mark.parametrize("gone", ["released", "forgotten"])
async def test_old_letter_is_replayed_exactly(bench: Bench, context: AppContext, gone: str) -> None:
    """An old letter is replayed exactly.

    Its claims are gone and its duplicates were never stored: they are worked out from the file and the ledger.
    """
    job = await half_dead(bench, context)
    await bench.claims.release(job.action_id)
    if gone == "forgotten":
        await bench.redis.delete(f"dedupe:{job.action_id}")
    await start_replay(context, await letter(bench, job))
    for _ in range(2):
        await bench.clean_up(context)
        await deliver(bench, context)
    await assert_done(bench, job)
    assert await bench.redis.keys(f"dedupe:{job.action_id}:*") == []


async def test_a_chunk_without_a_file_says_so(bench: Bench, context: AppContext) -> None:
    """Nobody can run it: its letter is DEAD, and cannot be replayed."""
    job = await half_dead(bench, context)
    await bench.storage.delete(f"{job.action_id}/upload.csv")
    assert await start_replay(context, await letter(bench, job))
    await bench.clean_up(context)
    dead = await letter(bench, job)
    assert (dead.status, dead.error) == ("DEAD", Obstacle.CHUNK_UNREADABLE)
    assert await find_obstacle(context, dead) == Obstacle.CHUNK_UNREADABLE


async def test_chunk_of_failed_action_says_so(bench: Bench, context: AppContext) -> None:
    """A chunk of a failed action says so, before the replay and when the action fails in the middle of one."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await give_up(bench, job.chunks[1])
    dead = await letter(bench, job)
    assert await find_obstacle(context, dead) is None
    await start_replay(context, dead)
    await bench.store.actions.transition(job.action_id, Status.FAILED)
    await bench.clean_up(context)
    dead = await letter(bench, job)
    assert (dead.status, dead.error) == ("DEAD", Obstacle.ACTION_OVER)
    assert await find_obstacle(context, dead) == Obstacle.ACTION_OVER


async def test_replay_while_action_runs(bench: Bench, context: AppContext) -> None:
    """A chunk is replayed while its action runs. There its claims are those of all others."""
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    await give_up(bench, job.chunks[1])
    await bench.run(job.chunks[2])
    await start_replay(context, await letter(bench, job))
    assert await deliver(bench, context) == 1
    await count(ChunkResult(action_id=job.action_id, chunk_count=3), context)
    assert (await complete_if_done(context, job.action_id, 3)).progress.complete
    await assert_done(bench, job)


# Other letters


@pytest.mark.parametrize("kind", ["POISON", "MESSAGE"])
async def test_sent_message_is_done(bench: Bench, context: AppContext, kind: str) -> None:
    """A message is done when it is sent. The broker has it; what becomes of it there is another story."""
    value = Feed(action_id="f" * 24).encode() if kind == "MESSAGE" else b"\xff"
    handler, topic = (store_dead_letter, bench.topics.dead) if kind == "MESSAGE" else (keep_poison, bench.topics.poison)
    headers = RetryHeaders.after(event(topic=bench.topics.feed.name), "no").to_headers()
    await handler(event(value, topic=topic.name, headers=headers), bench.context)
    [dead] = await bench.store.dead_letters.page([None], 10)
    bench.topics.feed.faults.append(TimeoutError())
    with pytest.raises(TimeoutError):
        await start_replay(context, dead)
    [dead] = await bench.store.dead_letters.page([None], 10)
    assert dead.status == "DEAD"
    # Whoever marked it died before it sent it.
    assert await bench.store.dead_letters.claim_replay(dead.id, datetime.now(UTC))
    await bench.clean_up(context)
    [dead] = await bench.store.dead_letters.page([None], 10)
    assert (dead.status, [sent.value for sent in bench.topics.feed.sent]) == ("DONE", [value])
