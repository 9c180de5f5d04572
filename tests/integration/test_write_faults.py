"""Rows that the database does not take, through the processor and the guard: which of them fail, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import stamina
from pymongo.errors import OperationFailure

from agents.guard import add_agent
from agents.processor import process
from app.adapters.mongo import Records
from app.domain.faults import PassingFault
from app.domain.outcomes import WRITE_REFUSED, Counts
from app.kafka.messages import Chunk
from app.kafka.topic_reader import Event
from tests.support.bench import Bench, Job
from tests.support.fakes import FakeDependencies, event, read_again
from tests.support.scripted_database import ScriptedDatabase

#: A code that says neither that the document is bad nor that the server is away.
UNKNOWN: dict[str, Any] = {"code": 8, "errmsg": "mongo-0.internal:27017 does not know"}
TEXT = "The database did not take this record: it could not be written, although others could."
#: The attempt that is made out of the last retry topic.
LAST = 3


def fail(bench: Bench, *keys: str, whole: bool = False, refused: str = "") -> ScriptedDatabase:
    """Let the writes of these contacts fail alone, or the whole command that has one of them; one may be refused."""
    entries = {f"default:{key}": UNKNOWN for key in keys} | {f"default:{refused}": {"code": 121, "errmsg": "a rule"}}

    def script(ids: list[str]) -> Mapping[int, Mapping[str, Any]]:
        found = {position: entries[_id] for position, _id in enumerate(ids) if _id in entries}
        if found and whole:
            raise OperationFailure(UNKNOWN["errmsg"], UNKNOWN["code"])
        return found

    database = ScriptedDatabase(script, bench.database)
    bench.store.records = Records(database, max_time=5)
    return database


async def submit(bench: Bench, *keys: str) -> Job:
    return await bench.submit(*(f"{key},Name,{key}@x.example,active" for key in keys))


def at(job: Job, attempt: int) -> Chunk:
    return job.chunks[0].model_copy(update={"attempt": attempt})


async def assert_only_failed(bench: Bench, job: Job, row: int, *, created: int, updated: int = 0) -> None:
    """One row is FAILED, with the fixed text; the others are written, and counted as they were."""
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=created + updated, failure=1, created=created, updated=updated)
    [entry] = outcome.exceptions
    assert (entry.row, entry.status, entry.code, entry.message) == (row, "FAILED", WRITE_REFUSED, TEXT)
    [told] = bench.topics.results.results
    assert told.read_counts() == outcome.counts
    assert list(bench.topics.taken) == [bench.topics.results.name]


async def drive(bench: Bench, job: Job) -> int:
    """Give the chunk to the guarded agent, and again from each retry topic until it is in none; how often it ran."""
    ran = 0
    agents: list[Any] = []
    context = bench.platform_with(dependencies=FakeDependencies())

    async def handle(chunk: Chunk, context: Any) -> None:
        nonlocal ran
        ran += 1
        assert chunk.attempt == ran - 1
        await process(chunk, context)

    app = SimpleNamespace(context=context, agent=lambda *_, **__: agents.append)
    add_agent(app, context.topics.chunks, Chunk, handle)

    async def stream() -> AsyncIterator[Event]:
        yield event(job.chunks[0].encode(), topic=bench.topics.chunks.name)
        for channel in bench.topics.retries:
            while channel.sent:
                yield read_again(channel.sent.pop(), topic=channel.name)

    with stamina.set_testing(True, attempts=1):
        await agents[0](SimpleNamespace(events=stream))
    return ran


@pytest.mark.parametrize("whole", [False, True], ids=["statement", "command"])
@pytest.mark.parametrize("attempt", range(LAST + 2))
async def test_a_row_is_given_up_last(bench: Bench, attempt: int, whole: bool) -> None:
    """A row that fails alone fails its chunk again until that comes from the last retry topic; then the row alone."""
    fail(bench, "bad", whole=whole)
    job = await submit(bench, "a", "bad", "c")
    if attempt >= LAST:
        await process(at(job, attempt), bench.context)
        await assert_only_failed(bench, job, 2, created=2)
    else:
        with pytest.raises(PassingFault):
            await process(at(job, attempt), bench.context)
        assert await bench.store.ledger.entry(job.chunks[0].id) is None
        assert bench.topics.taken == {}
    # The first attempt is one command, which a server may refuse as a whole.
    assert set(await bench.names()) == (set() if whole and not attempt else {"a", "c"})


async def test_what_was_written_stays_created(bench: Bench) -> None:
    """Rows that earlier attempts wrote are told as created by the one that gives the last row up."""
    fail(bench, "bad")
    await bench.finish(await bench.submit("c,Other,c@x.example,active"))
    bench.topics.results.sent.clear()
    job = await submit(bench, "a", "bad", "c")
    assert await drive(bench, job) == LAST + 1
    await assert_only_failed(bench, job, 2, created=1, updated=1)


@pytest.mark.parametrize("writable", [True, False])
async def test_a_probe_speaks_for_an_only_row(bench: Bench, monkeypatch: pytest.MonkeyPatch, writable: bool) -> None:
    """An only row is given up when a probe can be written; else it is the server, and the chunk fails."""
    fail(bench, "bad")
    job = await submit(bench, "bad")
    probes = 0
    check_write = bench.store.check_write

    async def probe() -> None:
        nonlocal probes
        probes += 1
        if not writable:
            raise OperationFailure("disk full", 4711)
        await check_write()

    monkeypatch.setattr(bench.store, "check_write", probe)
    with pytest.raises(PassingFault):
        await process(at(job, LAST - 1), bench.context)
    assert probes == 0
    if writable:
        await process(at(job, LAST), bench.context)
        await assert_only_failed(bench, job, 1, created=0)
        assert await bench.database["probes"].find_one({"_id": "write"})
    else:
        with pytest.raises(OperationFailure, match="disk full"):
            await process(at(job, LAST), bench.context)
        assert bench.topics.taken == {}
    assert probes == 1


@pytest.mark.parametrize("rows", [2, 40])
async def test_chunk_of_which_all_fail_is_dead(bench: Bench, rows: int) -> None:
    """A chunk of which all fail is dead.

    When every row fails alone it is not the rows: none is refused, and the chunk is a dead letter.
    """
    keys = [f"k{n:02}" for n in range(rows)]
    fail(bench, *keys)
    job = await submit(bench, *keys)
    assert await drive(bench, job) == LAST + 1
    assert await bench.store.ledger.entry(job.chunks[0].id) is None
    [dead] = bench.topics.dead.sent
    assert Chunk.decode(dead.value).id == job.chunks[0].id
    assert list(bench.topics.taken) == [bench.topics.dead.name]


async def test_bad_id_takes_no_other_row(bench: Bench) -> None:
    """An id that fails every command takes no other row with it.

    Of 500 rows one fails every command that has it: it alone is FAILED, and few commands find it.
    """
    keys = [f"k{n:03}" for n in range(500)]
    database = fail(bench, "k321", whole=True)
    job = await submit(bench, *keys)
    assert await drive(bench, job) == LAST + 1
    await assert_only_failed(bench, job, 322, created=499)
    assert set(await bench.names()) == set(keys) - {"k321"}
    # One that is not cut, then three times the whole and two for each of the nine times that 500 can be halved.
    assert len(database.commands) <= 1 + LAST * (1 + 2 * 9)


async def test_refused_and_failed_rows_together(bench: Bench) -> None:
    """A document that the database refuses and a row that only fails are both FAILED, each with its own reason."""
    fail(bench, "bad", refused="rule")
    job = await submit(bench, "a", "bad", "rule")
    await process(at(job, LAST), bench.context)
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, failure=2, created=1)
    assert [(e.row, e.code) for e in outcome.exceptions] == [(2, WRITE_REFUSED), (3, WRITE_REFUSED)]
    assert [e.message == TEXT for e in outcome.exceptions] == [True, False]
