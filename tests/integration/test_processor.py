"""The processor on real services: however often, when and beside whom a chunk runs, its outcome is the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from pymongo.errors import AutoReconnect

from agents.dead_letters import store_dead_letter
from agents.processor import process
from app.adapters.redis.claims import ClaimsReleased
from app.adapters.storage import ObjectMissing
from app.domain.actions import Status
from app.domain.faults import PermanentFault
from app.domain.outcomes import WRITE_REFUSED, Counts
from app.kafka.messages import Chunk, Feed
from app.services.claim_recovery import store_dead_owners
from app.services.completion import complete_if_done
from app.services.scheduling import review_stalled
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.fakes import event

#: One chunk with every kind of row. Records "there" and "same" are there before.
ROWS = [
    "new1,New One,NEW1@Example.com,Active",
    "there,There,there@example.com,active",
    "bad,Bad,no address,active",
    "new1,Again,again@example.com,active",
    "other,Same Mail,there@example.com,active",
    '"new2","Two\nLines",new2@example.com,archived',
    "short,row",
    "new3,New Three,new3@example.com,pending",
    "same,Same,same@example.com,active",
]
CREATED = 0b1010_0001
UNCHANGED = 0b1_0000_0000
COUNTS = Counts(success=5, failure=2, skipped=2, duplicate=2, created=3, updated=1, unchanged=1)
NAMES = {"new1": "New One", "there": "There", "new2": "Two\nLines", "new3": "New Three", "same": "Same"}
MISFITS = [(3, "FAILED", "INVALID_EMAIL"), (4, "SKIPPED", "DUPLICATE"), (5, "SKIPPED", "DUPLICATE")]
MISFITS += [(7, "FAILED", "WRONG_FIELD_COUNT")]


async def submit(bench: Bench) -> Job:
    """An action of one chunk, ``ROWS``, after one that made "there" and "same"."""
    await bench.finish(await bench.submit("there,Before,before@example.com,active", ROWS[-1]))
    bench.topics.results.sent.clear()
    return await bench.submit(*ROWS)


async def assert_done(bench: Bench, job: Job, *, results: int) -> None:
    """The chunk has the one outcome that ``ROWS`` must have, and it was told so often."""
    [outcome] = await bench.outcomes(job)
    assert (outcome.counts, outcome.created, outcome.unchanged) == (COUNTS, CREATED, UNCHANGED)
    assert outcome.row_count == len(ROWS)
    assert [(e.row, e.status, e.code) for e in outcome.exceptions] == MISFITS
    assert [e.owner for e in outcome.exceptions] == [None, 1, 2, None]
    contacts = await bench.contacts()
    assert {key: contact["name"] for key, contact in contacts.items()} == NAMES
    assert contacts["new1"] | {"_bulk": None} == {
        "_id": "default:new1",
        "accountId": "default",
        "id": "new1",
        "name": "New One",
        "email": "new1@example.com",
        "status": "active",
        "createdBy": job.action_id,
        "_bulk": None,
    }
    assert contacts["there"]["createdBy"] != job.action_id
    assert {key for key, c in contacts.items() if c["_bulk"]["actionId"] == job.action_id} == NAMES.keys() - {"same"}
    told = bench.topics.results.results
    assert [(r.action_id, r.index, r.chunk_count, r.read_counts()) for r in told] == [
        (job.action_id, 0, 1, COUNTS)
    ] * results
    assert list(bench.topics.taken) == [bench.topics.results.name]


class Held:
    """A part of a platform of which one step waits, before or after it is done, until it is let go."""

    def __init__(self, part: Any, step: str, *, after: bool = False) -> None:
        self._part, self._step, self._after = part, step, after
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._part, name)
        if name != self._step:
            return inner

        async def held(*args: Any, **options: Any) -> Any:
            answer = await inner(*args, **options) if self._after else None
            self.reached.set()
            await self.go.wait()
            return answer if self._after else await inner(*args, **options)

        return held


class Broken:
    """A part of a platform of which one step fails the first time, before or after it is done."""

    def __init__(self, part: Any, step: str, *, after: bool = False) -> None:
        self._part, self._step, self._after, self._left = part, step, after, 1

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._part, name)
        if name != self._step or not self._left:
            return inner

        async def broken(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._after:
                await inner(*args, **options)
            raise AutoReconnect("the connection is lost")

        return broken


def part_of(bench: Bench, wrap: Callable[..., Any], step: str, *, after: bool) -> tuple[Any, dict[str, Any]]:
    """Wrap one step; the wrapped part, and what a platform has in the place of its own."""
    where, _, name = step.rpartition(".")
    if where in ("ledger", "records"):
        wrapped = wrap(getattr(bench.store, where), name, after=after)
        parts = {kind: getattr(bench.store, kind) for kind in ("actions", "ledger", "records", "dead_letters")}
        return wrapped, {"store": SimpleNamespace(**{**parts, where: wrapped})}
    wrapped = wrap(getattr(bench, where), name, after=after)
    return wrapped, {where: wrapped}


#: Every step of a first run.
STEPS = [
    "ledger.open",
    "storage.read",
    "claims.claim",
    "records.compare",
    "ledger.record_plan",
    "records.insert",
    "records.update",
    "ledger.close",
]


async def late(bench: Bench, chunk: Chunk, step: str, *, after: bool) -> tuple[asyncio.Task[None], asyncio.Event]:
    """Start a run that falls asleep at a step; it goes on when the event is set."""
    held, parts = part_of(bench, Held, step, after=after)
    task = asyncio.create_task(process(chunk, bench.platform_with(**parts)))
    await held.reached.wait()
    return task, held.go


#: Where a run may fall asleep without having claimed anything.
BEFORE_THE_CLAIM = {("ledger.open", False), ("ledger.open", True), ("storage.read", False), ("storage.read", True)}
BEFORE_THE_CLAIM |= {("claims.claim", False)}


# One run, and more than one


async def test_one_outcome_for_each_row(bench: Bench) -> None:
    """A chunk has one outcome for each row."""
    job = await submit(bench)
    await bench.run(*job.chunks)
    await assert_done(bench, job, results=1)


@pytest.mark.parametrize("times", [2, 10])
async def test_redelivery_writes_nothing(bench: Bench, times: int) -> None:
    """A chunk that is delivered again tells the same, and writes nothing."""
    job = await submit(bench)
    await bench.run(*job.chunks)
    before = await bench.state(job)
    await bench.run(*job.chunks * (times - 1))
    await assert_done(bench, job, results=times)
    assert await bench.state(job) == before


@pytest.mark.parametrize("runs", [2, 3, 8])
async def test_concurrent_runs_have_one_outcome(bench: Bench, runs: int) -> None:
    """A chunk that many run at once has one outcome, with the same counts."""
    job = await submit(bench)
    await asyncio.gather(*(bench.run(*job.chunks) for _ in range(runs)))
    await assert_done(bench, job, results=runs)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_overtaken_run_agrees(bench: Bench, step: str, after: bool) -> None:
    """A run that another overtakes at any step comes to the same."""
    job = await submit(bench)
    task, go = await late(bench, job.chunks[0], step, after=after)
    await bench.run(*job.chunks)
    go.set()
    await task
    await assert_done(bench, job, results=2)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_interrupted_run_is_finished(bench: Bench, step: str, after: bool) -> None:
    """A run that breaks off at any step is finished by the next, with the same outcome."""
    job = await submit(bench)
    _, parts = part_of(bench, Broken, step, after=after)
    context = bench.platform_with(**parts)
    with pytest.raises(AutoReconnect):
        await process(job.chunks[0], context)
    assert bench.topics.taken == {}
    await process(job.chunks[0], context)
    await assert_done(bench, job, results=1)


async def test_lost_result_is_told_again(bench: Bench) -> None:
    """A result that the broker did not take is told by the next run."""
    job = await submit(bench)
    bench.topics.results.faults.append(TimeoutError())
    with pytest.raises(TimeoutError):
        await bench.run(*job.chunks)
    await bench.run(*job.chunks)
    await assert_done(bench, job, results=1)


@pytest.mark.parametrize("written", [[0], [1], [0, 1], [5, 7], [0, 1, 5, 7]])
async def test_half_written_chunk_is_finished(bench: Bench, written: list[int]) -> None:
    """A half-written chunk is finished, and what it created stays created."""
    job = await submit(bench)

    class Half:
        """A server that takes some of the statements and dies."""

        def __getattr__(self, name: str) -> Any:
            return getattr(bench.store.records, name)

        async def insert(self, collection: str, documents: list[bytes], **_: Any) -> Any:
            some = [document for document in documents if bson.decode(document)["_bulk"]["row"] - 1 in written]
            answer = await bench.store.records.insert(collection, some)
            if 1 not in written:
                raise AutoReconnect("it died")
            return answer

        async def update(self, collection: str, statements: list[bytes], **_: Any) -> Any:
            await bench.store.records.update(collection, statements)
            raise AutoReconnect("it died")

    store = SimpleNamespace(actions=bench.store.actions, ledger=bench.store.ledger, records=Half())
    with pytest.raises(AutoReconnect):
        await process(job.chunks[0], bench.platform_with(store=store))
    assert await bench.store.ledger.entry(job.chunks[0].id) is None
    await bench.run(*job.chunks)
    await assert_done(bench, job, results=1)


async def test_chunks_find_shared_rows(bench: Bench) -> None:
    """Chunks of one action find each other's rows, whatever their order."""
    rows = ["a,First,a@x.example,active", "b,Second,b@x.example,active", "a,Third,c@x.example,active"]
    job = await bench.submit(*rows, "d,Fourth,B@x.example,active", chunk_rows=2)
    await bench.run(*reversed(job.chunks))
    first, second = await bench.outcomes(job)
    assert (second.counts.created, second.counts.skipped) == (2, 0)
    assert [(e.row, e.owner) for e in first.exceptions] == [(1, 3), (2, 4)]
    assert await bench.names() == {"a": "Third", "d": "Fourth"}


async def test_chunks_write_each_record_once(bench: Bench) -> None:
    """Chunks of one action that run at once write each record once."""
    rows = [f"{n % 40},Row {n},{n % 40}@x.example,active" for n in range(400)]
    job = await bench.submit(*rows, chunk_rows=20)
    await asyncio.gather(*(bench.run(chunk) for chunk in job.chunks * 2))
    outcomes = await bench.outcomes(job)
    total = sum((outcome.counts for outcome in outcomes), Counts())
    assert total == Counts(success=40, skipped=360, duplicate=360, created=40)
    skipped = {e.row: e.owner for outcome in outcomes for e in outcome.exceptions}
    assert not set(skipped.values()) & set(skipped), "an owner that is itself skipped"
    kept = {row for row in range(1, 401) if row not in skipped}
    assert {contact["_bulk"]["row"] for contact in (await bench.contacts()).values()} == kept


# Other actions


async def test_repeated_run_keeps_newer_record(
    bench: Bench,
) -> None:
    """A record that a newer action wrote in the meantime is left alone by a repeated run."""
    job = await bench.submit("a,Old,a@x.example,active", "b,Old,b@x.example,active")
    _, parts = part_of(bench, Broken, "records.insert", after=True)
    with pytest.raises(AutoReconnect):
        await process(job.chunks[0], bench.platform_with(**parts))
    newer = await bench.finish(await bench.submit("a,New,a@x.example,archived"))
    await bench.run(*job.chunks)
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=2, created=2)
    assert await bench.names() == {"a": "New", "b": "Old"}
    assert (await bench.contacts())["a"]["_bulk"]["actionId"] == newer.action_id


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("storage.read", False),
        ("storage.read", True),
        ("claims.claim", False),
        ("claims.claim", True),
        ("records.compare", False),
        ("records.compare", True),
        ("records.insert", True),
    ],
)
async def test_sleeping_run_undoes_nothing(bench: Bench, step: str, after: bool) -> None:
    """A first run that sleeps while its chunk is finished and a newer action writes undoes nothing of it."""
    job = await bench.submit("a,Old,a@x.example,active")
    task, go = await late(bench, job.chunks[0], step, after=after)
    await bench.finish(job)
    newer = await bench.finish(await bench.submit("a,New,a@x.example,archived"))
    go.set()
    await task
    assert await bench.names() == {"a": "New"}
    assert (await bench.contacts())["a"]["_bulk"]["actionId"] == newer.action_id


async def test_old_schedule_writes_its_rows(
    bench: Bench,
) -> None:
    """An action that was scheduled long ago writes its rows, even when its first run broke off."""
    later = datetime.now(UTC) + timedelta(hours=1)
    scheduled = await bench.submit("a,Scheduled,a@x.example,active", started_at=later)
    await bench.finish(await bench.submit("a,Before it ran,a@x.example,active"))
    _, parts = part_of(bench, Broken, "claims.claim", after=True)
    with pytest.raises(AutoReconnect):
        await process(scheduled.chunks[0], bench.platform_with(**parts))
    await bench.run(*scheduled.chunks)
    [outcome] = await bench.outcomes(scheduled)
    assert outcome.counts == Counts(success=1, updated=1)
    assert await bench.names() == {"a": "Scheduled"}, "a row that is told to have succeeded was not written"


# What the database refuses


@pytest.mark.parametrize("broken_off", [False, True])
async def test_refused_write_fails_its_row(bench: Bench, broken_off: bool) -> None:
    """A write that the database refuses is a failed row with the reason."""
    await bench.database["contacts"].create_index("email", unique=True)
    await bench.database["contacts"].insert_one({"_id": "else", "id": "else", "name": "E", "email": "taken@x.example"})
    job = await bench.submit(
        "a,A,a@x.example,active", "b,B,taken@x.example,active", "c,C,bad,active", "d,D,d@x.example,active"
    )
    if broken_off:
        _, parts = part_of(bench, Broken, "records.insert", after=True)
        with pytest.raises(AutoReconnect):
            await process(job.chunks[0], bench.platform_with(**parts))
    await bench.run(*job.chunks)
    [outcome] = await bench.outcomes(job)
    assert (outcome.counts, outcome.created) == (Counts(success=2, failure=2, created=2), 0b1001)
    assert [(e.row, e.status, e.code) for e in outcome.exceptions] == [
        (2, "FAILED", WRITE_REFUSED),
        (3, "FAILED", "INVALID_EMAIL"),
    ]
    assert 0 < len(outcome.exceptions[0].message) <= 200
    assert set(await bench.names()) == {"a", "d", "else"}


# After the end


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_run_after_the_end_changes_nothing(bench: Bench, step: str, after: bool) -> None:
    """A run that sleeps through the end of its action changes nothing."""
    rows = ["same,First,first@x.example,active", "same,Second,second@x.example,active"]
    if step == "records.update":
        await bench.finish(await bench.submit("other,Before,third@x.example,active"))
    job = await bench.submit(*rows, "other,Third,third@x.example,active", chunk_rows=1)
    # Row 2 is a duplicate, which must not come to own the record after the end; row 3 may have claimed before.
    sleeper = job.chunks[1] if (step, after) in BEFORE_THE_CLAIM else job.chunks[2]
    task, go = await late(bench, sleeper, step, after=after)
    await bench.finish(job)
    before = await bench.state(job)
    assert before.action is not None
    assert before.action.status == Status.COMPLETED
    claims = await bench.redis.keys(f"dedupe:{job.action_id}*")
    bench.topics.results.sent.clear()
    go.set()
    await task
    after_it = await bench.state(job)
    assert (after_it.action, after_it.outcomes) == (before.action, before.outcomes)
    # The same values may have been written once more.
    assert [{**c, "_bulk": c["_bulk"] | {"at": None}} for c in after_it.records.values()] == [
        {**c, "_bulk": c["_bulk"] | {"at": None}} for c in before.records.values()
    ]
    assert await bench.redis.keys(f"dedupe:{job.action_id}*") == claims
    [told] = bench.topics.results.results
    assert told.read_counts() == before.outcomes[sleeper.id].counts


async def test_chunks_repeated_after_the_end(bench: Bench) -> None:
    """All chunks delivered once more after the end change nothing."""
    job = await bench.finish(await submit(bench))
    before = await bench.state(job)
    await bench.run(*job.chunks * 2)
    await complete_if_done(bench.context, job.action_id, len(job.chunks))
    after = await bench.state(job)
    assert (after.outcomes, after.records) == (before.outcomes, before.records)
    with pytest.raises(ClaimsReleased):
        await bench.claims.claim(job.action_id, 1, [1], [["x"]])


async def test_missing_outcome_after_the_end(bench: Bench) -> None:
    """A chunk without outcome of an action that has ended is a permanent fault."""
    job = await submit(bench)
    await bench.claims.release(job.action_id)
    before = await bench.state(job)
    await bench.run(*job.chunks)
    assert await bench.state(job) == before
    assert bench.topics.taken == {}


async def test_chunk_of_stalled_action(bench: Bench) -> None:
    """A chunk that comes after its action was failed for stalling changes nothing."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    stalls = bench.settings.action_max_stalls
    job = await bench.submit("a,A,a@x.example,active", updatedAt=long_ago, stalls=stalls, stalledAt=0)
    await review_stalled(bench.context)
    before = await bench.state(job)
    assert before.action is not None
    assert before.action.status == Status.FAILED
    await bench.run(*job.chunks)
    assert await bench.state(job) == before
    assert [text async for text in verify(bench.store, bench.storage, before.action)] == []


# Chunks that were given up


async def test_lost_message_has_an_account(bench: Bench) -> None:
    """A message that was given up is kept for the account of its action."""
    job = await bench.submit("a,A,a@x.example,active", accountId="acme")
    nobodys = "f" * 24
    for offset, action_id in enumerate((job.action_id, nobodys)):
        dead = event(Feed(action_id=action_id).encode(), topic=bench.topics.dead.name, offset=offset)
        await store_dead_letter(dead, bench.context)
    letters = await bench.store.dead_letters.page(["acme", None], 10)
    assert {letter.action_id: letter.account_id for letter in letters} == {job.action_id: "acme", nobodys: None}


async def test_dead_chunk_stays_dead(bench: Bench) -> None:
    """A chunk that was given up stays so when it is only delivered again."""
    job = await submit(bench)
    await bench.store.ledger.open(job.chunks[0].id)
    await bench.give_up(job.chunks[0])
    await bench.run(*job.chunks)
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(failure=len(ROWS))
    assert {e.code for e in outcome.exceptions} == {"DEAD_LETTER"}
    assert [result.read_counts() for result in bench.topics.results.results] == [outcome.counts]
    assert await bench.names() == {"there": "Before", "same": "Same"}


async def test_replay_runs_a_dead_chunk(bench: Bench) -> None:
    """A replay of a chunk that was given up runs it, and asks for a recount."""
    job = await submit(bench)
    await bench.store.ledger.open(job.chunks[0].id)
    await bench.give_up(job.chunks[0])
    await complete_if_done(bench.context, job.action_id, 1)
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    await store_dead_owners(bench.context, action, [0])
    replay = job.chunks[0].model_copy(update={"replay": True})
    await bench.run(replay)
    [told] = bench.topics.results.results
    assert (told.action_id, told.index, told.chunk_count) == (job.action_id, None, 1)
    bench.topics.results.sent.clear()
    await complete_if_done(bench.context, job.action_id, 1)
    await bench.run(replay)
    await assert_done(bench, job, results=1)
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert action.counts == COUNTS


async def test_late_run_beats_a_dead_letter(bench: Bench) -> None:
    """A run that ends well after its chunk was given up has the last word."""
    job = await submit(bench)
    task, go = await late(bench, job.chunks[0], "ledger.close", after=False)
    await bench.give_up(job.chunks[0])
    go.set()
    await task
    [told] = bench.topics.results.results
    assert told.index is None, "its rows were counted as failed: a recount is due"
    bench.topics.results.sent.clear()
    await bench.run(*job.chunks)
    await assert_done(bench, job, results=1)


async def test_finished_chunk_never_dies(bench: Bench) -> None:
    """A chunk with an outcome is not given up any more."""
    job = await submit(bench)
    await bench.run(*job.chunks)
    await bench.give_up(job.chunks[0])
    await assert_done(bench, job, results=1)


# Messages that cannot be right


def spanning(chunk: Chunk, **changes: Any) -> Chunk:
    return chunk.model_copy(update={"span": chunk.span.model_copy(update=changes)})


WRONG: dict[str, tuple[Callable[[Chunk], Chunk], type[Exception]]] = {
    "behind the end": (lambda chunk: spanning(chunk, end=chunk.span.end + 1), PermanentFault),
    "far behind the end": (lambda chunk: spanning(chunk, start=10**12, end=10**12 + 1), PermanentFault),
    "unknown entity": (
        lambda chunk: chunk.model_copy(update={"source": chunk.source.model_copy(update={"entity_type": "Ship"})}),
        PermanentFault,
    ),
    "no file": (
        lambda chunk: chunk.model_copy(update={"source": chunk.source.model_copy(update={"storage_key": "none"})}),
        ObjectMissing,
    ),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_impossible_chunk_writes_nothing(bench: Bench, kind: str) -> None:
    """A chunk that cannot be right is a permanent fault, and writes nothing."""
    job = await submit(bench)
    damage, fault = WRONG[kind]
    before = await bench.state(job)
    with pytest.raises(fault):
        await bench.run(damage(job.chunks[0]))
    assert await bench.state(job) == before
    assert bench.topics.taken == {}
    await bench.run(*job.chunks)
    await assert_done(bench, job, results=1)


async def test_longest_errors_fit_the_ledger(bench: Bench) -> None:
    """A chunk of which every row fails in the longest words fits into the ledger.

    The most rows of a chunk, each with the longest message that a row can have.
    """
    rows = [f"{'🙂' * 128},,{n},active" if n % 2 else f"{n},n,{'漢' * 90},active" for n in range(10_000)]
    job = await bench.submit(*rows, chunk_rows=10_000)
    await asyncio.gather(*(bench.run(chunk) for chunk in job.chunks))
    outcomes = await bench.outcomes(job)
    assert sum((outcome.counts for outcome in outcomes), Counts()) == Counts(failure=10_000)
