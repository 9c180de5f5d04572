"""Deleting actions, on each kind of storage: nothing of them is left, whatever fails in between, but their records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.cleanup import clean_up
from agents.dead_letters import store_dead_letter
from agents.dispatcher import dispatch
from agents.feeder import feed
from agents.processor import process
from agents.progress import count
from app.context import AppContext
from app.domain.access import Principal, Role
from app.domain.actions import ENDED, Status, TransitionRefused
from app.domain.faults import PermanentFault
from app.domain.outcomes import Counts
from app.domain.rows import RowsUnreadable
from app.kafka.messages import ChunkResult, Feed
from app.services.completion import end_action, summarize_ledger
from app.services.erasure import NoSuchAction, delete
from app.services.failures import group_failures
from app.services.replays import find_obstacle
from app.services.results import csv_results, results
from app.services.retries import retry
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
from tests.support.factories import make_dead_letter
from tests.support.fakes import MemoryProgress, event
from tests.support.leftovers import leftovers

ROWS = ["a,A,a@x.example,active", "b,B,no address,active", "a,Again,c@x.example,active", "d,D,d@x.example,active"]
OTHER = ["a,Other,a@x.example,active", "o,O,o@x.example,active"]


@pytest.fixture
def context(any_bench: Bench) -> AppContext:
    any_bench.context = any_bench.platform_with(progress=MemoryProgress())
    return any_bench.context


async def ended(bench: Bench, *rows: str, **fields: Any) -> Job:
    """An action that is completed, with claims, live counters and a dead letter."""
    job = await bench.finish(await bench.submit(*rows, chunk_rows=2, **fields))
    await bench.redis.set(f"progress:{job.action_id}", b"{}")
    letter = make_dead_letter(_id=job.chunk_ids[0], actionId=job.action_id, status="DONE", index=0)
    await bench.store.dead_letters.put(letter)
    return job


async def left(bench: Bench, job: Job) -> set[str]:
    """Where anything of an action is."""
    settings = bench.settings
    found = leftovers(settings.mongo_db_uri.get_secret_value(), settings.redis_uri.get_secret_value(), job.action_id)
    keys = {stored.key for stored in await bench.storage.objects() if job.action_id in stored.key}
    return found | keys


async def differences(bench: Bench, job: Job) -> list[str]:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return [text async for text in verify(bench.store, bench.storage, action)]


async def erased(bench: Bench, context: AppContext, job: Job) -> None:
    """Delete an action, and let the clean-up come to its end."""
    await delete(context, "default", job.action_id)
    for _ in range(2):
        await bench.clean_up(context)


# What is deleted


async def test_nothing_is_left(any_bench: Bench, context: AppContext) -> None:
    """All that belongs to the action goes, its records and other actions stay."""
    job, other = await ended(any_bench, *ROWS), await ended(any_bench, *OTHER)
    records, whole = await any_bench.contacts(), await left(any_bench, other)
    await erased(any_bench, context, job)
    assert await left(any_bench, job) == set()
    assert await any_bench.contacts() == records
    # Its claims are forgotten by its own clean-up.
    assert await left(any_bench, other) >= {place for place in whole if not place.startswith("dedupe:")}
    assert await differences(any_bench, other) == []


async def test_it_is_gone_at_once(any_bench: Bench, context: AppContext) -> None:
    """From the answer on nobody is shown the action, before anything of it is taken away."""
    actions, key = any_bench.store.actions, "default:key"
    job = await ended(any_bench, *ROWS, idempotencyKey=key)
    await delete(context, "default", job.action_id)
    assert await actions.get(job.action_id) is None
    assert await actions.page("default", 10) == []
    assert await actions.some([job.action_id]) == []
    assert await actions.changed_since("default", LONG_AGO, 10) == []
    assert [action async for action in actions.ended()] == []
    assert [action async for action in actions.changing("default", "Contact")] == []
    assert await actions.find_by_idempotency_key(key) is None
    assert await any_bench.store.dead_letters.page(["default"], 10) == []
    assert await actions.find(job.action_id) is not None


async def test_stored_bytes_go_with_the_file(any_bench: Bench, context: AppContext) -> None:
    """They count against the limit of the account for as long as they are there."""
    job = await ended(any_bench, *ROWS)
    stored = await any_bench.store.actions.stored_bytes("default")
    await delete(context, "default", job.action_id)
    assert await any_bench.store.actions.stored_bytes("default") == stored > 0
    await any_bench.clean_up(context)
    assert await any_bench.store.actions.stored_bytes("default") == 0


@pytest.mark.parametrize("status", [*Status])
async def test_only_what_has_ended_is_deleted(bench: Bench, status: Status) -> None:
    job = await bench.submit(*ROWS, status=status)
    if status in ENDED:
        await delete(bench.context, "default", job.action_id)
        assert await bench.store.actions.get(job.action_id) is None
        return
    with pytest.raises(TransitionRefused) as refused:
        await delete(bench.context, "default", job.action_id)
    assert refused.value.status == status
    assert (await bench.state(job)).action is not None


async def test_deleting_again_is_no_error(bench: Bench) -> None:
    """Neither while it goes nor afterwards, for as long as it is remembered; unknown and foreign are the same."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await ended(bench, *ROWS)
    for account, unknown in (("other", job.action_id), ("default", "0" * 24)):
        with pytest.raises(NoSuchAction):
            await delete(context, account, unknown)
    assert await bench.store.actions.get(job.action_id) is not None
    for _ in range(3):
        await delete(context, "default", job.action_id)
        await bench.clean_up(context)
    with pytest.raises(NoSuchAction):
        await delete(context, "other", job.action_id)
    week_ago = datetime.now(UTC) - timedelta(days=7)
    await bench.database["erased_actions"].update_many({}, {"$set": {"expireAt": week_ago}})
    await dispatch(context)
    with pytest.raises(NoSuchAction):
        await delete(context, "default", job.action_id)


# Whatever fails

#: The steps of a deletion, in their order: after each of them the process dies.
STEPS = {
    "noted": ("store.erased_deletions", "note"),
    "letters": ("store.dead_letters", "remove_all"),
    "ledger": ("store.ledger", "remove"),
    "claims": ("claims", "release"),
    "counters": ("snapshots", "drop"),
    "file": ("storage", "delete"),
    "told": ("topics.results", "send"),
    "remembered": ("store.erased_actions", "add"),
    "removed": ("store.actions", "remove"),
    "swept": ("store.erased_actions", "finish_sweep"),
}


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """A collection at which the process dies when something has been removed."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def delete_many(self, *args: Any) -> None:
        await self._collection.delete_many(*args)
        raise Killed


def kill_after(context: AppContext, step: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Die after a method of a part of the platform, the first time; return where it is noted that it has happened."""
    path, name = step
    owner: Any = context
    for part in path.split("."):
        owner = getattr(owner, part)
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)
    died: list[str] = []

    async def dying(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        if not died:
            died.append(name)
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)
    return died


@pytest.mark.parametrize("step", STEPS)
async def test_death_between_two_steps(
    any_bench: Bench, context: AppContext, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The clean-up of another worker goes on, and nothing is left; the others are exact."""
    first = await ended(any_bench, *ROWS)
    other = await ended(any_bench, *OTHER)
    job = await ended(any_bench, "a", "d", action_type="BULK_DELETE", columns=("id",))
    await delete(context, "default", job.action_id)
    died = kill_after(context, STEPS[step], monkeypatch)
    for _ in range(3):
        try:
            await any_bench.clean_up(context)
        except Killed:
            assert await any_bench.store.actions.get(job.action_id) is None
    assert died
    assert await left(any_bench, job) == set()
    for one in (first, other):
        assert await differences(any_bench, one) == []


async def test_clean_up_does_not_undo_it(bench: Bench) -> None:
    """A clean-up that was under way when its action was deleted does not put the deletion off."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await ended(bench, *ROWS)
    later = datetime.now(UTC) + timedelta(days=1)
    await delete(context, "default", job.action_id)
    await bench.store.actions.schedule_cleanup(job.action_id, later, recounted=True)
    await bench.store.actions.finish_cleanup(job.action_id)
    await clean_up(context)
    assert await bench.store.actions.find(job.action_id) is None


async def test_chunks_begun_are_finished_first(bench: Bench) -> None:
    """Of a cancelled action that is deleted: no record is left as no plan says."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.claims.claim(job.action_id, 4, [1, 2], [["a", "b"]])
    await bench.store.ledger.open(job.chunk_ids[0])
    await end_action(context, job.action_id, Status.CANCELLED, await summarize_ledger(context, job.action_id, 2))
    await delete(context, "default", job.action_id)
    await bench.database["chunk_openings"].update_many({}, {"$set": {"at": LONG_AGO}})
    await bench.clean_up(context)
    assert await bench.store.actions.find(job.action_id) is not None
    [begun] = [Feed.decode(sent.value) for sent in bench.topics.feed.sent]
    await feed(begun, context)
    assert len(bench.topics.chunks.sent) == 1
    await process(job.chunks[0].model_copy(update={"replay": True}), context)
    assert await bench.names() == {"a": "A"}
    for _ in range(2):
        await bench.clean_up(context)
    assert await left(bench, job) == set()


@pytest.mark.parametrize("part", ["_openings", "_outcomes"])
async def test_half_a_ledger_begins_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """A cancelled action whose deletion dies in the middle of its ledger does not look as if chunks were begun."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[0])
    await end_action(context, job.action_id, Status.CANCELLED, await summarize_ledger(context, job.action_id, 2))
    await delete(context, "default", job.action_id)
    with monkeypatch.context() as patch:
        patch.setattr(bench.store.ledger, part, Dying(getattr(bench.store.ledger, part)))
        with pytest.raises(Killed):
            await bench.clean_up(context)
    await bench.database["chunk_openings"].update_many({}, {"$set": {"at": LONG_AGO}})
    for _ in range(2):
        await bench.clean_up(context)
    assert bench.topics.feed.sent == []
    assert await left(bench, job) == set()


async def test_lost_file_stops_nothing(bench: Bench) -> None:
    """A cancelled action whose file is not there any more is deleted all the same."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await bench.submit(*ROWS, chunk_rows=2)
    await bench.run(job.chunks[1])
    await bench.store.ledger.open(job.chunk_ids[0])
    await end_action(context, job.action_id, Status.CANCELLED, await summarize_ledger(context, job.action_id, 2))
    await bench.claims.release(job.action_id)
    for stored in await bench.storage.objects():
        await bench.storage.delete(stored.key)
    await erased(bench, context, job)
    assert await left(bench, job) == set()


# What comes too late


async def test_late_outcome_is_swept(bench: Bench) -> None:
    """What somebody had in hand is taken away by its result; and by the sweep, where that is lost."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await ended(bench, *ROWS)
    [late, lost] = [await bench.store.ledger.outcomes([name]) for name in job.chunk_ids]
    await delete(context, "default", job.action_id)
    await clean_up(context)
    for name, found in zip(job.chunk_ids, (late, lost), strict=True):
        await bench.store.ledger.open(name)
        await bench.store.ledger.close(name, found[name])
    result = ChunkResult.of(job.action_id, 0, 2, Counts())
    await count(result, context)
    assert set(await bench.store.ledger.summaries(job.chunk_ids)) == {job.chunk_ids[1]}
    await bench.clean_up(context)
    assert await left(bench, job) == set()


async def test_late_messages_change_nothing(bench: Bench) -> None:
    """Messages about an action that is gone are dropped, and make no dead letter."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await ended(bench, *ROWS)
    await erased(bench, context, job)
    before = await bench.contacts()
    for replay in (False, True):
        await process(job.chunks[0].model_copy(update={"replay": replay}), context)
    await feed(Feed(action_id=job.action_id), context)
    await count(ChunkResult(action_id=job.action_id, chunk_count=2), context)
    topics = bench.topics
    await store_dead_letter(event(job.chunks[0].encode(), topic=topics.chunks.name), context)
    await store_dead_letter(event(Feed(action_id=job.action_id).encode(), topic=topics.feed.name), context)
    assert await left(bench, job) == set()
    assert await bench.contacts() == before


async def test_unknown_actions_are_told_apart(bench: Bench) -> None:
    """A message about an action that never was is a fault, and is kept as a dead letter."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await bench.submit(*ROWS)
    await bench.database["bulk_operations"].delete_many({})
    with pytest.raises(PermanentFault):
        await feed(Feed(action_id=job.action_id), context)
    with pytest.raises(PermanentFault):
        await count(ChunkResult(action_id=job.action_id, chunk_count=1), context)
    with pytest.raises(PermanentFault):
        await process(job.chunks[0], context)


async def test_its_letter_is_not_replayed(bench: Bench) -> None:
    """A replay of a letter that somebody has still on the screen is refused."""
    job = await ended(bench, *ROWS)
    letter = await bench.store.dead_letters.get(job.chunk_ids[0])
    assert letter is not None
    await delete(bench.context, "default", job.action_id)
    assert await find_obstacle(bench.context, letter) is not None


# Readers


@pytest.mark.parametrize("read", ["results", "failures", "retry"])
async def test_no_part_is_taken_for_all(bench: Bench, monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    """Whoever reads the rows of an action that is deleted meanwhile is told so, and not given what is left of it."""
    context = bench.platform_with(progress=MemoryProgress())
    job = await bench.finish(await bench.submit(*(f"{n},N,no address,active" for n in range(12)), chunk_rows=1))
    action = await bench.store.actions.get(job.action_id)
    assert action is not None

    original = bench.storage.read

    async def deleting(key: str, start: int = 0, end: int | None = None) -> bytes:
        """What was read of the first rows is theirs; of all behind them nothing is left."""
        data = await original(key, start, end)
        if key == action.file.storage_key and start and await bench.store.actions.find(action.id) is not None:
            await erased(bench, context, job)
        return data

    monkeypatch.setattr(bench.storage, "read", deleting)
    with pytest.raises(RowsUnreadable):
        if read == "results":
            async with aclosing(results(context, action, csv_results(action), None)) as pieces:
                async for _ in pieces:
                    pass
        elif read == "failures":
            await group_failures(context, action)
        else:
            await retry(context, action, Principal("default", Role.OPERATOR, "key 1"), None)
    assert await bench.store.actions.page("default", 10) == []
    assert await bench.storage.objects() == []


# The verification of others


async def test_deleted_deletions_explain(bench: Bench) -> None:
    """Records that an action has deleted which is gone itself are no difference; those that vanish earlier are."""
    context = bench.platform_with(progress=MemoryProgress())
    made = await ended(bench, *ROWS)
    gone = await ended(bench, "a", action_type="BULK_DELETE", columns=("id",))
    await erased(bench, context, gone)
    assert await differences(bench, made) == []
    after = await ended(bench, *OTHER)
    await bench.database["contacts"].delete_one({"id": "o"})
    assert await differences(bench, after) == ["row 2: its record default:o does not exist"]
