"""Verification: of an action that is exact it says nothing, and each thing that is broken it names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.dead_letters import store_dead_letter
from app.domain.actions import Status
from app.domain.outcomes import WRITE_REFUSED
from app.kafka.retry_headers import RetryHeaders
from app.services.completion import complete_if_done
from app.services.verification import verify
from tests.support.bench import Bench, Job
from tests.support.fakes import event
from tests.support.paths import ROOT

ROWS = [
    "a,Ann,a@x.example,active",
    "b,Bob,b@x.example,active",
    "c,Bad,no address,active",
    "a,Again,d@x.example,active",
    "e,Eve,e@x.example,archived",
    "f,Mail of b,B@X.EXAMPLE,pending",
    "was,Updated,was@x.example,active",
    "short,row",
]
CHUNK_ROWS = 3


async def finished(bench: Bench) -> Job:
    """An action with every kind of row in three chunks, COMPLETED."""
    await bench.finish(await bench.submit("was,Before,was@x.example,active"))
    return await bench.finish(await bench.submit(*ROWS, chunk_rows=CHUNK_ROWS))


async def differences(bench: Bench, job: Job) -> list[str]:
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    return [text async for text in verify(bench.store, bench.storage, action)]


# What is exact


async def test_exact_action_has_no_differences(bench: Bench) -> None:
    """An exact action has no differences."""
    job = await finished(bench)
    assert len(job.chunks) == 3
    assert await differences(bench, job) == []


async def test_newer_action_is_no_difference(bench: Bench) -> None:
    """An action has no differences after a newer one has written the same records."""
    job = await finished(bench)
    newer = await bench.finish(await bench.submit("a,Newer,new@x.example,archived", "was,Newer,was@x.example,active"))
    assert await differences(bench, job) == []
    assert await differences(bench, newer) == []


async def test_refused_rows_are_no_difference(bench: Bench) -> None:
    """Rows that the database refused are no difference."""
    await bench.database["contacts"].create_index("email", unique=True)
    await bench.database["contacts"].insert_one({"_id": "else", "id": "else", "email": "b@x.example"})
    job = await finished(bench)
    assert WRITE_REFUSED in {e.code for outcome in await bench.outcomes(job) for e in outcome.exceptions}
    assert await differences(bench, job) == []


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.PROCESSING, Status.PAUSED])
async def test_running_action_is_not_verified(bench: Bench, status: Status) -> None:
    """An action that has not ended is not verified, and that is said."""
    job = await bench.submit(*ROWS, status=status)
    assert await differences(bench, job) == [f"not ended: it is {status}"]


async def test_failed_action_may_lack_outcomes(bench: Bench) -> None:
    """An action that failed need not have all outcomes, but those that it has must be right."""
    job = await bench.submit(*ROWS, chunk_rows=CHUNK_ROWS)
    await bench.run(job.chunks[0])
    [outcome] = (await bench.store.ledger.outcomes(job.chunk_ids)).values()
    await bench.store.actions.transition(job.action_id, Status.FAILED, **outcome.counts.to_document())
    assert await differences(bench, job) == []
    await bench.database["contacts"].delete_one({"id": "a"})
    assert await differences(bench, job) == ["row 1: its record default:a does not exist"]


# What is broken, one thing at a time


async def _update(bench: Bench, collection: str, _id: str, **values: Any) -> None:
    changed = await bench.database[collection].update_one({"_id": _id}, {"$set": values})
    assert changed.modified_count == 1


async def _action(bench: Bench, job: Job, **values: Any) -> None:
    await _update(bench, "bulk_operations", job.action_id, **values)


async def _outcome(bench: Bench, job: Job, index: int, **values: Any) -> None:
    """Change an outcome, in the form in which version 0.1 kept it: a document for each exception."""
    name = job.chunk_ids[index]
    outcome = (await bench.store.ledger.outcomes([name]))[name]
    exceptions = [{"message": "", **entry.to_document()} for entry in outcome.exceptions]
    await bench.database["chunk_outcomes"].update_one(
        {"_id": name}, {"$set": {"exceptions": exceptions}, "$unset": {"packed": ""}}
    )
    await _update(bench, "chunk_outcomes", name, **values)


async def _contact(bench: Bench, key: str, **values: Any) -> None:
    await _update(bench, "contacts", f"default:{key}", **values)


async def _remove(bench: Bench, collection: str, _id: str) -> None:
    assert (await bench.database[collection].delete_one({"_id": _id})).deleted_count == 1


async def _file(bench: Bench, job: Job, change: Callable[[bytes], bytes]) -> None:
    key = f"{job.action_id}/upload.csv"
    data = await bench.storage.read(key)
    assert change(data) != data
    await bench.storage.put(key, change(data))


Break = Callable[[Bench, Job], Awaitable[None]]

#: What is broken: how, and one sentence that must be said of it.
BROKEN: dict[str, tuple[Break, str]] = {
    **{
        f"counter {name}": (
            lambda bench, job, name=name: _action(bench, job, **{name: 77}),  # type: ignore[misc]
            f"{name} is 77, the ledger says {value}",
        )
        for name, value in {
            "processedCount": 8,
            "successCount": 4,
            "failureCount": 2,
            "skippedCount": 2,
            "duplicateCount": 2,
            "createdCount": 3,
            "updatedCount": 1,
        }.items()
    },
    "total": (lambda bench, job: _action(bench, job, totalCount=9), "the file has 8 rows, totalCount is 9"),
    "ledger entry removed": (
        lambda bench, job: _remove(bench, "chunk_outcomes", job.chunk_ids[1]),
        "chunk {1} has no outcome",
    ),
    "ledger entry of other rows": (
        lambda bench, job: _outcome(bench, job, 1, rowCount=2),
        "the chunk of row 4 has 3 rows, its outcome 2",
    ),
    "ledger counts": (
        lambda bench, job: _outcome(bench, job, 0, **{"counts.createdCount": 1, "counts.updatedCount": 1}),
        "the counts of the chunk of row 1 are not the sum of its rows",
    ),
    "a failure that was none": (
        lambda bench, job: _outcome(bench, job, 0, **{"exceptions.0.row": 2}),
        "row 2 should not fail: INVALID_EMAIL",
    ),
    "a failure that is missing": (
        lambda bench, job: _outcome(bench, job, 0, exceptions=[]),
        "row 3 should fail: INVALID_EMAIL",
    ),
    "a created row that was updated": (
        lambda bench, job: _outcome(bench, job, 2, created=b"\x01"),
        "row 7: the outcome says CREATED, the record does not",
    ),
    "record removed": (
        lambda bench, job: _remove(bench, "contacts", "default:e"),
        "row 5: its record default:e does not exist",
    ),
    "record's name": (
        lambda bench, job: _contact(bench, "e", name="X"),
        "row 5: its record default:e has other values",
    ),
    "record's status": (
        lambda bench, job: _contact(bench, "was", status="pending"),
        "row 7: its record default:was has other values",
    ),
    "record of another row": (
        lambda bench, job: _contact(bench, "a", **{"_bulk.row": 4}),
        "row 1: its record was written by row 4",
    ),
    "record of another maker": (
        lambda bench, job: _contact(bench, "a", createdBy="f" * 24),
        "row 1: the outcome says CREATED, the record does not",
    ),
    "a byte of the file": (
        lambda bench, job: _file(bench, job, lambda data: data.replace(b"Eve", b"Evi")),
        "the stored file is not the one that was uploaded",
    ),
    "the file is longer": (
        lambda bench, job: _file(bench, job, lambda data: data + b"\n"),
        "the stored file is not the one that was uploaded",
    ),
    "the file is shorter": (
        lambda bench, job: _file(bench, job, lambda data: data[:-10]),
        "the stored file is not the one that was uploaded",
    ),
    "a duplicate of a row that failed": (
        lambda bench, job: _outcome(bench, job, 1, **{"exceptions.0.owner": 3}),
        "row 4 is a duplicate of row 3, which does not own its record",
    ),
    "a duplicate of a duplicate": (
        lambda bench, job: _outcome(bench, job, 1, **{"exceptions.0.owner": 6}),
        "row 4 is a duplicate of row 6, which does not own its record",
    ),
    "a duplicate of itself": (
        lambda bench, job: _outcome(bench, job, 1, **{"exceptions.0.owner": 4}),
        "row 4 is a duplicate of row 4, which does not own its record",
    ),
    "a duplicate of no row": (
        lambda bench, job: _outcome(bench, job, 1, **{"exceptions.0.owner": 9}),
        "row 4 is a duplicate of row 9, which does not own its record",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_what_is_broken_is_named(bench: Bench, kind: str) -> None:
    job = await finished(bench)
    damage, sentence = BROKEN[kind]
    await damage(bench, job)
    assert sentence.format(*job.chunk_ids) in await differences(bench, job)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(
            "upload.csv",
        ),
        "spans",
    ],
)
async def test_missing_file_is_named(bench: Bench, key: str) -> None:
    """A stored file or span index that is gone is named."""
    job = await finished(bench)
    await bench.storage.delete(f"{job.action_id}/{key}")
    assert any("cannot be read" in text for text in await differences(bench, job))


async def test_record_made_anew_is_named(bench: Bench) -> None:
    """A record that something else has made anew is named."""
    job = await finished(bench)
    await bench.database["contacts"].replace_one({"_id": "default:a"}, {"id": "a", "name": "By hand"})
    assert await differences(bench, job) == ["row 1: the outcome says CREATED, the record does not"]


@pytest.mark.parametrize("owner", [2, 5, 7])
async def test_wrong_duplicate_is_named(bench: Bench, owner: int) -> None:
    """A duplicate of a row with which it has nothing in common is named."""
    job = await finished(bench)
    await _outcome(bench, job, 1, **{"exceptions.0.owner": owner})
    assert await differences(bench, job) != []


async def test_lost_row_is_named(bench: Bench) -> None:
    """A row that was lost and is called a duplicate is named."""
    job = await finished(bench)
    [_, outcome, _] = await bench.outcomes(job)
    exceptions = [e.to_document() for e in outcome.exceptions]
    exceptions.insert(1, {"row": 5, "status": "SKIPPED", "code": "DUPLICATE", "message": "lost", "owner": 2})
    counts = {"successCount": 3, "skippedCount": 3, "duplicateCount": 3, "createdCount": 2}
    chunk_counts = {"counts.successCount": 0, "counts.skippedCount": 3, "counts.duplicateCount": 3}
    await _outcome(bench, job, 1, exceptions=exceptions, created=b"\0", **chunk_counts, **{"counts.createdCount": 0})
    await _action(bench, job, **counts)
    await _remove(bench, "contacts", "default:e")
    assert any("row 5" in text for text in await differences(bench, job))


async def _give_up(bench: Bench, job: Job, index: int) -> None:
    """Let a chunk be given up."""
    topics = bench.topics
    headers = RetryHeaders.after(event(topic=topics.chunks.name), "no").to_headers()
    await store_dead_letter(event(job.chunks[index].encode(), topic=topics.dead.name, headers=headers), bench.context)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("DEAD", None),
        ("REPLAYED", "the replay of dead letter {1} has not ended"),
        ("DONE", "dead letter {1} is DONE, its chunk was given up"),
    ],
)
async def test_letter_of_another_state_is_named(bench: Bench, status: str, sentence: str | None) -> None:
    """A letter of another state is named. A chunk that was given up has a letter that is DEAD."""
    job = await bench.submit(*ROWS, chunk_rows=CHUNK_ROWS)
    await bench.run(job.chunks[0], job.chunks[2])
    await _give_up(bench, job, 1)
    await complete_if_done(bench.context, job.action_id, 3)
    await _update(bench, "dead_letters", job.chunk_ids[1], status=status, seen=True)
    assert await differences(bench, job) == ([] if sentence is None else [sentence.format(*job.chunk_ids)])


async def test_letter_with_an_outcome_is_named(bench: Bench) -> None:
    """A letter of a chunk with an outcome is named. Its letter is DONE."""
    job = await finished(bench)
    await _give_up(bench, job, 1)
    assert await differences(bench, job) == []
    await _update(bench, "dead_letters", job.chunk_ids[1], status="DEAD")
    assert await differences(bench, job) == [f"dead letter {job.chunk_ids[1]} is DEAD, its chunk has an outcome"]


async def test_failed_action_is_compared(bench: Bench) -> None:
    """Counters of a failed action are compared with its ledger, also of chunks that were closed after the end."""
    job = await bench.submit(*ROWS, chunk_rows=CHUNK_ROWS)
    await bench.run(job.chunks[0])
    await bench.store.actions.transition(job.action_id, Status.FAILED)
    assert "processedCount is 0, the ledger says 3" in await differences(bench, job)


# The command


def command(settings_of: Bench, *arguments: str) -> tuple[int, list[str]]:
    """Run ``python -m app verify``; its exit code and its lines."""
    settings = settings_of.settings
    done = subprocess.run(
        [sys.executable, "-m", "app", "verify", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "MONGO_DB_URI": settings.mongo_db_uri.get_secret_value(),
            "STORAGE_URI": settings.storage_uri,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


async def test_command_verifies_actions(bench: Bench) -> None:
    """The command recounts every ended action, or one, and tells by its exit code."""
    job = await finished(bench)
    under_way = await bench.submit(*ROWS)
    assert command(bench) == (0, ["2 actions with 9 rows verified, 0 differences"])
    assert command(bench, under_way.action_id) == (
        1,
        [
            f"{under_way.action_id}: not ended: it is PROCESSING",
            "1 actions with 8 rows verified, 1 differences",
        ],
    )
    assert command(bench, "0" * 24) == (1, [f"there is no action {'0' * 24}"])
    await _action(bench, job, createdCount=4)
    await _contact(bench, "e", name="X")
    assert command(bench) == (
        1,
        [
            f"{job.action_id}: row 5: its record default:e has other values",
            f"{job.action_id}: createdCount is 4, the ledger says 3",
            "2 actions with 9 rows verified, 2 differences",
        ],
    )


async def test_command_filters_actions(bench: Bench) -> None:
    """An account or a date may be asked for."""
    job = await finished(bench)
    assert command(bench, "--account", "default", "--since", "2020-01-01") == (
        0,
        ["2 actions with 9 rows verified, 0 differences"],
    )
    assert command(bench, "--account", "other") == (0, ["0 actions with 0 rows verified, 0 differences"])
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    assert command(bench, "--since", tomorrow) == (0, ["0 actions with 0 rows verified, 0 differences"])
    await _action(bench, job, createdAt=datetime.now(UTC) - timedelta(days=2))
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00")
    assert command(bench, "--since", yesterday) == (0, ["1 actions with 1 rows verified, 0 differences"])


async def test_verification_tells_of_its_rows(bench: Bench) -> None:
    job = await finished(bench)
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    seen: list[int] = []
    assert [text async for text in verify(bench.store, bench.storage, action, seen.append)] == []
    assert sum(seen) == action.total_count
    assert len(seen) == len(job.chunks)
