"""Retention: an action that has ended goes when its time is over, with all that belongs to it; whoever is first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agents.dead_letters import store_dead_letter
from agents.dispatcher import dispatch
from agents.progress import count
from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.retention import PARTS_LATER
from app.kafka.messages import ChunkResult
from app.services.completion import complete_if_done, end_action, summarize_ledger
from app.services.sweeping import OrphanSweeper
from tests.integration.test_erasure import OTHER, ROWS, Killed, differences, ended, kill_after, left
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
from tests.support.fakes import MemoryProgress, event

DAYS = 30
#: Where documents expire, and what names the action in them.
PARTS = {"chunk_outcomes": "_id", "chunk_openings": "_id", "dead_letters": "actionId"}


@pytest.fixture
def context(any_bench: Bench) -> AppContext:
    settings = any_bench.settings.model_copy(update={"retention_days": DAYS, "orphan_age": -60})
    any_bench.context = any_bench.platform_with(progress=MemoryProgress(), settings=settings)
    return any_bench.context


async def action_of(bench: Bench, job: Job) -> Action:
    action = await bench.store.actions.find(job.action_id)
    assert action is not None
    return action


async def cleaned_up(bench: Bench, context: AppContext, *rows: str, **fields: Any) -> Job:
    """An action that has ended, and whose end leaves nothing to do any more."""
    job = await ended(bench, *(rows or ROWS), **fields)
    for _ in range(2):
        await bench.clean_up(context)
    return job


async def expiries(bench: Bench, job: Job) -> set[datetime | None]:
    """When what belongs to an action expires."""
    return {
        document.get("expireAt")
        for name, field in PARTS.items()
        async for document in bench.database[name].find({field: {"$regex": f"^{job.action_id}"}})
    }


async def expire(bench: Bench, now: datetime) -> None:
    """What the server of the database does by its indexes."""
    for name in ("bulk_operations", *PARTS):
        await bench.database[name].delete_many({"expireAt": {"$lte": now}})


# When


@pytest.mark.parametrize("days", [0, 0.5, DAYS])
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
async def test_an_end_decides_the_time(bench: Bench, status: Status, days: float) -> None:
    """It is a number of days after the end, however an action ends; 0 days are for ever."""
    settings = bench.settings.model_copy(update={"retention_days": days})
    context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    job = await bench.submit(*ROWS, chunk_rows=2)
    if status == Status.COMPLETED:
        await bench.run(*job.chunks)
        await complete_if_done(context, job.action_id, 2)
    else:
        await end_action(context, job.action_id, status, await summarize_ledger(context, job.action_id, 2))
    action = await action_of(bench, job)
    assert action.completed_at is not None
    if not days:
        assert action.retained_until is None
    else:
        assert action.retained_until is not None
        assert abs(action.retained_until - action.completed_at - timedelta(days=days)) < timedelta(seconds=2)


async def test_parts_expire_later(any_bench: Bench, context: AppContext) -> None:
    """What belongs to an action expires a day later; the action itself does not before that is certain."""
    job = await ended(any_bench, *ROWS)
    await any_bench.clean_up(context)
    action = await action_of(any_bench, job)
    assert action.retained_until is not None
    stored = any_bench.database["bulk_operations"]
    assert "expireAt" not in await stored.find_one({"_id": job.action_id})
    await any_bench.clean_up(context)
    assert (await stored.find_one({"_id": job.action_id}))["expireAt"] == action.retained_until
    assert await expiries(any_bench, job) == {action.retained_until + PARTS_LATER}


async def test_kept_for_ever_never_expires(bench: Bench) -> None:
    context = bench.platform_with(progress=MemoryProgress())
    job = await cleaned_up(bench, context)
    assert await expiries(bench, job) == {None}
    assert "expireAt" not in await bench.database["bulk_operations"].find_one({"_id": job.action_id})


@pytest.mark.parametrize("collection", ["bulk_operations", "chunk_outcomes", "chunk_openings", "dead_letters"])
async def test_server_knows_what_expires(bench: Bench, collection: str) -> None:
    indexes = await bench.database[collection].index_information()
    [index] = [found for found in indexes.values() if [name for name, _ in found["key"]] == ["expireAt"]]
    assert index["expireAfterSeconds"] == 0


# Who


async def test_dispatcher_deletes_what_expired(any_bench: Bench, context: AppContext) -> None:
    """Where the server does not: all that belongs to it goes, and nothing that is to be kept longer."""
    job, kept = await cleaned_up(any_bench, context), await cleaned_up(any_bench, context, *OTHER)
    await any_bench.database["bulk_operations"].update_one({"_id": job.action_id}, {"$set": {"expireAt": LONG_AGO}})
    await dispatch(context)
    assert await any_bench.store.actions.get(job.action_id) is None
    for _ in range(2):
        await any_bench.clean_up(context)
    assert await left(any_bench, job) == set()
    assert (await action_of(any_bench, kept)).retained_until is not None
    assert await differences(any_bench, kept) == []


async def test_server_expires_first(any_bench: Bench, context: AppContext) -> None:
    """The server removes the action, the sweeper its file, and the server the rest, a day later."""
    job, kept = await cleaned_up(any_bench, context), await cleaned_up(any_bench, context, *OTHER)
    retained_until = (await action_of(any_bench, job)).retained_until
    assert retained_until is not None
    later = retained_until + timedelta(hours=1)
    await any_bench.database["bulk_operations"].update_one({"_id": kept.action_id}, {"$set": {"expireAt": None}})
    await expire(any_bench, later)
    assert await any_bench.store.actions.find(job.action_id) is None
    assert len(await expiries(any_bench, job)) == 1
    await OrphanSweeper().sweep_orphans(context)
    assert not {stored.key for stored in await any_bench.storage.objects() if job.action_id in stored.key}
    assert await differences(any_bench, kept) == []
    await expire(any_bench, later + PARTS_LATER)
    # Live counters are forgotten by Redis itself, within an hour.
    assert await left(any_bench, job) == {f"progress:{job.action_id}"}


#: The steps after each of which the process dies.
EXPIRING = {
    "letters expire": ("store.dead_letters", "expire"),
    "ledger expires": ("store.ledger", "expire"),
    "cleaned up": ("store.actions", "finish_cleanup"),
    "expired": ("store.actions", "delete_expired"),
}


@pytest.mark.parametrize("step", EXPIRING)
async def test_death_before_it_expires(
    any_bench: Bench, context: AppContext, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whoever dies between two steps leaves nothing that does not expire."""
    job = await ended(any_bench, *ROWS)
    died = kill_after(context, EXPIRING[step], monkeypatch)
    for _ in range(3):
        try:
            await any_bench.clean_up(context)
            await any_bench.database["bulk_operations"].update_many(
                {"expireAt": {"$exists": True}}, {"$set": {"expireAt": LONG_AGO}}
            )
            await dispatch(context)
        except Killed:
            found = await any_bench.database["bulk_operations"].find_one({"_id": job.action_id})
            assert step in ("cleaned up", "expired") or "expireAt" not in found
    for _ in range(3):
        await any_bench.clean_up(context)
    assert died
    assert await left(any_bench, job) == set()


# What comes late


async def test_late_outcome_expires(bench: Bench) -> None:
    """The outcome of a chunk that was in hand when its action failed, and came after the clean-up."""
    settings = bench.settings.model_copy(update={"retention_days": DAYS})
    context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    job = await bench.submit(*ROWS, chunk_rows=2)
    await end_action(context, job.action_id, Status.FAILED, await summarize_ledger(context, job.action_id, 2))
    for _ in range(2):
        await bench.clean_up(context)
    await bench.redis.delete(f"dedupe:{job.action_id}")
    await bench.run(job.chunks[0])
    assert await expiries(bench, job) == {None}
    await count(bench.topics.results.results[-1], context)
    retained_until = (await action_of(bench, job)).retained_until
    assert retained_until is not None
    assert await expiries(bench, job) == {retained_until + PARTS_LATER}


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_late_letter_expires(bench: Bench, status: Status) -> None:
    """A chunk that is given up when its action has ended, and one that was replayed, expire with it."""
    settings = bench.settings.model_copy(update={"retention_days": DAYS})
    bench.context = context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[1])
    dead = event(job.chunks[0].encode(), topic=bench.topics.chunks.name)
    if status == Status.COMPLETED:
        await store_dead_letter(dead, context)
        await complete_if_done(context, job.action_id, 2)
    else:
        await end_action(context, job.action_id, status, await summarize_ledger(context, job.action_id, 2))
        await store_dead_letter(dead, context)
    for _ in range(2):
        await bench.clean_up(context)
    retained_until = (await action_of(bench, job)).retained_until
    assert retained_until is not None
    if status == Status.COMPLETED:
        # It is replayed: its entry takes the place of the one that expires.
        await bench.store.dead_letters.claim_replay(job.chunk_ids[0], LONG_AGO)
        await bench.run(job.chunks[0].model_copy(update={"replay": True}))
        assert None in await expiries(bench, job)
        await count(ChunkResult(action_id=job.action_id, chunk_count=2), context)
        assert await bench.store.dead_letters.open_chunks(job.action_id) == []
    else:
        await bench.database["dead_letters"].delete_many({})
        await store_dead_letter(dead, context)
    assert await expiries(bench, job) == {retained_until + PARTS_LATER}


# The verification of others


async def test_expired_deletions_explain(bench: Bench) -> None:
    """Also where the server has removed the action that has deleted; and not while that is still there."""
    settings = bench.settings.model_copy(update={"retention_days": DAYS})
    bench.context = context = bench.platform_with(progress=MemoryProgress(), settings=settings)
    made = await ended(bench, *ROWS)
    gone = await cleaned_up(bench, context, "a", action_type="BULK_DELETE", columns=("id",))
    await bench.database["contacts"].delete_one({"id": "d"})
    assert await differences(bench, made) == ["row 4: its record default:d does not exist"]
    await bench.database["bulk_operations"].delete_one({"_id": gone.action_id})
    await bench.database["erased_deletions"].update_many({}, {"$set": {"goneFrom": LONG_AGO}})
    assert await differences(bench, made) == []
