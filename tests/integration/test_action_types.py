"""Action types on real services: what each does with rows whose records are there or not, however often it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from agents.processor import process
from app.adapters.mongo import Records
from app.domain.cells import EmptyCells
from app.domain.outcomes import Counts
from app.services.claim_recovery import rebuild_claims
from app.services.row_pages import page_of_rows
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.clocks import LONG_AGO
from tests.support.scripted_database import ScriptedDatabase

#: Records that are there before: "same" as its row says, "other" not.
BEFORE = ("same,Same,same@x.example,active", "other,Before,other@x.example,active")
ROWS = (
    "new,New,new@x.example,active",
    *BEFORE[:1],
    "bad,Bad,no address,active",
    "other,Other,other@x.example,active",
    "new,Again,again@x.example,active",
)
#: Of each action type: the columns of the file, its rows, the counts, the codes of the rows, the names afterwards.
TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Counts, list[str], dict[str, str]]] = {
    "BULK_UPDATE": (
        ("id", "name", "email", "status"),
        ROWS,
        Counts(success=3, failure=1, skipped=1, duplicate=1, created=1, updated=1, unchanged=1),
        ["CREATED", "UNCHANGED", "INVALID_EMAIL", "UPDATED", "DUPLICATE"],
        {"new": "New", "same": "Same", "other": "Other"},
    ),
    "BULK_CREATE": (
        ("id", "name", "email", "status"),
        ROWS,
        Counts(success=1, failure=3, skipped=1, duplicate=1, created=1),
        ["CREATED", "ALREADY_EXISTS", "INVALID_EMAIL", "ALREADY_EXISTS", "DUPLICATE"],
        {"new": "New", "same": "Same", "other": "Before"},
    ),
    "BULK_PATCH": (
        ("note", "name", "id"),
        ("x,New,new", "x,Same,same", "x,#N/A,bad", "x,Other,other", "x,Again,other", "x,,empty"),
        Counts(success=3, failure=2, skipped=1, duplicate=1, updated=1, unchanged=2),
        ["NOT_FOUND", "UNCHANGED", "CANNOT_CLEAR", "UPDATED", "DUPLICATE", "UNCHANGED"],
        {"same": "Same", "other": "Other", "empty": "Empty"},
    ),
    "BULK_DELETE": (
        ("note", "id", "email"),
        ("x,new,no address", "x,same,a@x.example", "x,,", "x,other,a@x.example", "x,new,"),
        Counts(success=2, failure=2, skipped=1, duplicate=1, deleted=2),
        ["NOT_FOUND", "DELETED", "REQUIRED", "DELETED", "DUPLICATE"],
        {},
    ),
}
EVERY_TYPE = pytest.mark.parametrize("kind", TYPES)


async def submit(bench: Bench, kind: str, *, chunk_rows: int = 1000) -> Job:
    """An action of a type, behind one that made the records that are there."""
    more = ("empty,Empty,empty@x.example,active",) if kind == "BULK_PATCH" else ()
    await bench.finish(await bench.submit(*BEFORE, *more))
    bench.topics.results.sent.clear()
    columns, rows, *_ = TYPES[kind]
    empty_cells = EmptyCells.SKIP if kind == "BULK_PATCH" else None
    return await bench.submit(*rows, action_type=kind, columns=columns, chunk_rows=chunk_rows, empty_cells=empty_cells)


async def differences(bench: Bench, job: Job) -> list[str]:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return [text async for text in verify(bench.store, bench.storage, action)]


async def assert_done(bench: Bench, job: Job, kind: str) -> None:
    """Counts, rows and records are those of the type, and the verification agrees."""
    _, _, counts, codes, names = TYPES[kind]
    outcomes = await bench.outcomes(job)
    assert sum((outcome.counts for outcome in outcomes), Counts()) == counts
    await bench.finish(job)
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert action.counts == counts
    rows, following = await page_of_rows(bench.context, action, status=None, chunk=0, after=0, limit=100)
    assert ([row.code for row in rows], following) == (codes, None)
    assert all(row.message for row in rows if row.status != "SUCCESS")
    assert await bench.names() == names
    assert await differences(bench, job) == []


@EVERY_TYPE
@pytest.mark.parametrize("chunk_rows", [1000, 1])
async def test_rows_come_to_what_they_should(bench: Bench, kind: str, chunk_rows: int) -> None:
    """Each row has the outcome that its type and its record say, in one chunk or in many."""
    job = await submit(bench, kind, chunk_rows=chunk_rows)
    await bench.run(*job.chunks)
    await assert_done(bench, job, kind)


class Dying:
    """A store of which one command is the last: it is carried out for some of its statements, and breaks off."""

    def __init__(self, bench: Bench, share: Callable[[int], bool]) -> None:
        self._records, self._share = bench.store.records, share

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._records, name)
        if name not in ("insert", "update", "delete"):
            return inner

        async def some(collection: str, statements: list[bytes], **_: Any) -> Any:
            await inner(collection, [each for n, each in enumerate(statements) if self._share(n)])
            raise AutoReconnect("it died")

        return some


#: Which of the statements of a command are carried out before the worker dies.
SHARES: dict[str, Callable[[int], bool]] = {
    "none": lambda n: False,
    "the first": lambda n: n == 0,
    "all": lambda n: True,
}


@EVERY_TYPE
@pytest.mark.parametrize("share", SHARES)
async def test_death_while_writing_is_exact(bench: Bench, kind: str, share: str) -> None:
    """A chunk whose writes were cut off anywhere is finished with the same outcome."""
    job = await submit(bench, kind)
    store = SimpleNamespace(actions=bench.store.actions, ledger=bench.store.ledger, records=Dying(bench, SHARES[share]))
    with pytest.raises(AutoReconnect):
        await process(job.chunks[0], bench.platform_with(store=store))
    await bench.run(*job.chunks)
    await assert_done(bench, job, kind)


@EVERY_TYPE
async def test_many_runs_at_once_agree(bench: Bench, kind: str) -> None:
    """A chunk that several workers run at once has one outcome."""
    job = await submit(bench, kind)
    await asyncio.gather(*(bench.run(*job.chunks) for _ in range(4)))
    await assert_done(bench, job, kind)


@EVERY_TYPE
async def test_rebuilt_claims_of_a_type(bench: Bench, kind: str) -> None:
    """Claims that were lost in the middle are rebuilt: the rows that own their record, also those that failed at it."""
    job = await submit(bench, kind, chunk_rows=4)
    await bench.run(job.chunks[0])
    await bench.claims.release(job.action_id)
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    await rebuild_claims(bench.context, action)
    await bench.run(*job.chunks)
    await assert_done(bench, job, kind)


# A deletion, and others


async def delete(bench: Bench, *keys: str, **fields: Any) -> Job:
    return await bench.submit(*keys, action_type="BULK_DELETE", columns=("id",), **fields)


async def cut_off(bench: Bench, job: Job, share: str) -> None:
    """Let the first chunk of an action die while it writes."""
    store = SimpleNamespace(actions=bench.store.actions, ledger=bench.store.ledger, records=Dying(bench, SHARES[share]))
    with pytest.raises(AutoReconnect):
        await process(job.chunks[0], bench.platform_with(store=store))


@pytest.mark.parametrize("share", ["none", "all"])
async def test_repeated_deletion_keeps_newer(bench: Bench, share: str) -> None:
    """What a newer action has written meanwhile is left alone; the rows stay DELETED."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await delete(bench, "same", "other")
    await cut_off(bench, job, share)
    newer = await bench.finish(await bench.submit("same,Newer,same@x.example,active"))
    await bench.finish(job)
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=2, deleted=2)
    assert await bench.names() == {"same": "Newer"}
    assert [await differences(bench, each) for each in (job, newer)] == [[], []]


async def test_repeated_deletion_deletes_older(bench: Bench) -> None:
    """What an action that started earlier has made again is deleted by a repeated chunk."""
    await bench.finish(await bench.submit(*BEFORE))
    earlier = await bench.submit("same,Late,same@x.example,active")
    job = await delete(bench, "same", "other", started_at=datetime.now(UTC) + timedelta(seconds=1))
    await cut_off(bench, job, "all")
    await bench.finish(earlier)
    assert await bench.names() == {"same": "Late"}
    await bench.finish(job)
    assert await bench.names() == {}
    assert [await differences(bench, each) for each in (earlier, job)] == [[], []]


async def test_repeated_update_after_deletion(bench: Bench) -> None:
    """A chunk of an update that is repeated after a newer deletion makes the record again, and tells it as CREATED."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await bench.submit("same,Older,same@x.example,active")
    await cut_off(bench, job, "all")
    deletion = await bench.finish(await delete(bench, "same"))
    await bench.finish(job)
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, created=1)
    assert (await bench.names())["same"] == "Older"
    assert [await differences(bench, each) for each in (job, deletion)] == [[], []]


async def test_record_is_made_while_creating(bench: Bench) -> None:
    """A record that somebody makes between the look and the insert is ALREADY_EXISTS, and is not touched."""
    job = await bench.submit("new,Mine,new@x.example,active", action_type="BULK_CREATE")

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(bench.store.records, name)

        async def insert(self, *args: Any, **options: Any) -> Any:
            await bench.finish(await bench.submit("new,Theirs,new@x.example,active"))
            return await bench.store.records.insert(*args, **options)

    store = SimpleNamespace(actions=bench.store.actions, ledger=bench.store.ledger, records=Late())
    await process(job.chunks[0], bench.platform_with(store=store))
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(failure=1)
    assert await bench.names() == {"new": "Theirs"}
    await bench.finish(job)
    assert await differences(bench, job) == []


async def test_deletion_that_is_refused(bench: Bench) -> None:
    """A deletion that the database refuses fails its row alone."""
    await bench.finish(await bench.submit(*BEFORE))
    database = ScriptedDatabase(
        lambda ids: {n: {"code": 121, "errmsg": "no"} for n, each in enumerate(ids) if each == "default:same"},
        bench.database,
    )
    bench.store.records = Records(database, max_time=5)
    job = await bench.finish(await delete(bench, "same", "other", "none"))
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, failure=2, deleted=1)
    assert [(entry.row, entry.code) for entry in outcome.exceptions] == [(1, "WRITE_REFUSED"), (3, "NOT_FOUND")]
    assert set(await bench.names()) == {"same"}
    assert await differences(bench, job) == []


async def test_statement_of_a_deletion(bench: Bench) -> None:
    """A deletion is one command, in the order of the ids, that names the record by its id alone."""
    await bench.finish(await bench.submit(*BEFORE))
    database = ScriptedDatabase(lambda ids: {}, bench.database)
    bench.store.records = Records(database, max_time=5)
    await bench.finish(await delete(bench, "same", "other"))
    assert database.last["deletes"] == [{"q": {"_id": f"default:{key}"}, "limit": 1} for key in ("other", "same")]


# Patches


async def patch(bench: Bench, *rows: str, columns: str = "id,name", mode: str = "skip", **fields: Any) -> Job:
    return await bench.submit(
        *rows, action_type="BULK_PATCH", columns=columns.split(","), empty_cells=EmptyCells(mode), **fields
    )


async def fields_of(bench: Bench, key: str) -> tuple[str, str, str]:
    contact = (await bench.contacts())[key]
    return contact["name"], contact["email"], contact["status"]


async def test_patch_leaves_other_fields_alone(bench: Bench) -> None:
    """Only what the file has columns and values for is written, and the tag names it."""
    await bench.finish(await bench.submit(*BEFORE))
    rows = "same,,archived,s@x.example", "other,New name,,o@x.example"
    job = await bench.finish(await patch(bench, *rows, columns="id,name,status,email"))
    assert await fields_of(bench, "same") == ("Same", "s@x.example", "archived")
    assert await fields_of(bench, "other") == ("New name", "o@x.example", "active")
    contacts = await bench.contacts()
    assert contacts["same"]["_bulk"]["fields"] == ["id", "email", "status"]
    assert contacts["other"]["_bulk"]["fields"] == ["id", "name", "email"]
    assert await differences(bench, job) == []
    again = await bench.finish(await patch(bench, *rows, columns="id,name,status,email"))
    [outcome] = await bench.outcomes(again)
    assert outcome.counts == Counts(success=2, unchanged=2)
    assert contacts == await bench.contacts()


async def test_patched_record_with_other_values(bench: Bench) -> None:
    """The verification looks at the fields that a patch has written, and at no others."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await bench.finish(await patch(bench, "same,Patched"))
    await bench.database["contacts"].update_one({"id": "same"}, {"$set": {"status": "pending"}})
    assert await differences(bench, job) == []
    await bench.database["contacts"].update_one({"id": "same"}, {"$set": {"name": "Wrong"}})
    assert await differences(bench, job) == ["row 1: its record default:same has other values"]


@pytest.mark.parametrize("share", ["none", "all"])
@pytest.mark.parametrize("newer", ["name", "status", "all"])
async def test_repeated_patch_and_a_newer_one(bench: Bench, share: str, newer: str) -> None:
    """A repeated patch writes what no newer action has written, and leaves alone what one has."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await patch(bench, "same,Mine,mine@x.example", columns="id,name,email")
    await cut_off(bench, job, share)
    if newer == "all":
        theirs = await bench.submit("same,Theirs,theirs@x.example,pending")
    else:
        theirs = await patch(bench, f"same,{'Theirs' if newer == 'name' else 'pending'}", columns=f"id,{newer}")
    await bench.finish(theirs)
    await bench.finish(job)
    assert (
        await fields_of(bench, "same")
        == {
            "name": ("Theirs", "mine@x.example", "active"),
            "status": ("Mine", "mine@x.example", "pending"),
            "all": ("Theirs", "theirs@x.example", "pending"),
        }[newer]
    )
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, updated=1)
    assert [await differences(bench, each) for each in (job, theirs)] == [[], []]


@pytest.mark.parametrize("share", ["none", "all"])
async def test_repeated_update_and_a_newer_patch(bench: Bench, share: str) -> None:
    """A repeated update writes all but what a newer patch has written."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await bench.submit("same,Mine,mine@x.example,archived")
    await cut_off(bench, job, share)
    theirs = await bench.finish(await patch(bench, "same,pending", columns="id,status"))
    await bench.finish(job)
    assert await fields_of(bench, "same") == ("Mine", "mine@x.example", "pending")
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, updated=1)
    assert [await differences(bench, each) for each in (job, theirs)] == [[], []]


async def test_record_vanishes_before_its_patch(bench: Bench) -> None:
    """A record that is deleted between the look and the write is NOT_FOUND, and is not made."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await patch(bench, "same,Mine", "other,Mine")

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(bench.store.records, name)

        async def update(self, *args: Any, **options: Any) -> Any:
            await bench.finish(await delete(bench, "same"))
            return await bench.store.records.update(*args, **options)

    store = SimpleNamespace(actions=bench.store.actions, ledger=bench.store.ledger, records=Late())
    await process(job.chunks[0], bench.platform_with(store=store))
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=1, failure=1, updated=1)
    assert await bench.names() == {"other": "Mine"}
    await bench.finish(job)
    assert await differences(bench, job) == []


async def test_unique_values_of_a_patch(bench: Bench) -> None:
    """Rows of a patch are duplicates by the columns that the file has; rows without a value claim none."""
    await bench.finish(await bench.submit(*BEFORE, "third,T,t@x.example,active", "fourth,F,f@x.example,active"))
    rows = "same,,one@x.example", "other,,ONE@x.example", "third,A,", "fourth,A,"
    job = await bench.finish(await patch(bench, *rows, columns="id,name,email"))
    [outcome] = await bench.outcomes(job)
    assert outcome.counts == Counts(success=3, skipped=1, duplicate=1, updated=3)
    assert [(entry.row, entry.owner) for entry in outcome.exceptions] == [(2, 1)]
    assert await differences(bench, job) == []


# The verification


async def test_deleted_record_is_explained(bench: Bench) -> None:
    """An action whose records were deleted, or made anew, by later ones has no differences."""
    made = await bench.finish(await bench.submit(*BEFORE, "kept,Kept,kept@x.example,active"))
    again = await bench.finish(await bench.submit(*BEFORE))
    deletion = await bench.finish(await delete(bench, "same", "other"))
    created = await bench.finish(await bench.submit(BEFORE[0], action_type="BULK_CREATE"))
    for job in (made, again, deletion, created):
        assert await differences(bench, job) == []


async def test_deletion_under_way_is_explained(bench: Bench) -> None:
    """What a chunk without an outcome has deleted is told by its plan."""
    made = await bench.finish(await bench.submit(*BEFORE))
    await cut_off(bench, await delete(bench, "same", "other"), "the first")
    assert set(await bench.names()) == {"same"}
    assert await differences(bench, made) == []


async def test_other_vanished_record_is_named(bench: Bench) -> None:
    """A record that is gone and that no action has deleted is named."""
    made = await bench.finish(await bench.submit(*BEFORE))
    await bench.finish(await delete(bench, "other", "unknown"))
    await bench.database["contacts"].delete_one({"id": "same"})
    assert await differences(bench, made) == ["row 1: its record default:same does not exist"]


async def _return(bench: Bench, row: str) -> None:
    """Bring a record back as it was before the deletion: with the tag of an action that ended before it began."""
    tag = {"actionId": "0" * 24, "row": 1, "startedAt": LONG_AGO, "at": LONG_AGO}
    key, name, email, status = row.split(",")
    fields = {"id": key, "name": name, "email": email, "status": status}
    await bench.database["contacts"].insert_one({"_id": f"default:{key}", **fields, "_bulk": tag})


async def test_undeleted_record_is_named(bench: Bench) -> None:
    """A record of a deleted row that is there as before is named, and so is one that nobody knows."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await bench.finish(await delete(bench, "same", "other"))
    await _return(bench, BEFORE[0])
    await bench.database["contacts"].insert_one({"_id": "default:other", "id": "other"})
    assert await differences(bench, job) == [
        f"row {row}: the outcome says DELETED, but its record default:{key} is there"
        for row, key in ((1, "same"), (2, "other"))
    ]


async def test_missing_existing_record_is_named(bench: Bench) -> None:
    """A row that says that its record exists, which does not, is named; so is one that says it was not there."""
    await bench.finish(await bench.submit(*BEFORE))
    create = await bench.finish(await bench.submit(BEFORE[0], action_type="BULK_CREATE"))
    delete_none = await bench.finish(await delete(bench, "none"))
    await bench.database["contacts"].delete_one({"id": "same"})
    await _return(bench, "none,None,none@x.example,active")
    assert await differences(bench, create) == ["row 1: its record default:same does not exist"]
    assert await differences(bench, delete_none) == [
        "row 1: the outcome says NOT_FOUND, but its record default:none is there"
    ]


async def test_deleted_count_is_compared(bench: Bench) -> None:
    """A count of deletions that is not the ledger's is named."""
    await bench.finish(await bench.submit(*BEFORE))
    job = await bench.finish(await delete(bench, "same"))
    await bench.database["bulk_operations"].update_one({"_id": job.action_id}, {"$set": {"deletedCount": 7}})
    assert await differences(bench, job) == ["deletedCount is 7, the ledger says 1"]
