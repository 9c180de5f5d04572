"""Who is measured side by side: loops that a good engineer would write, a tool that a user would pick, the platform."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pymongo

from app.domain.actions import ENDED
from app.domain.entities import find_entity
from app.domain.rows import check_rows
from benchmarks.bed import Bed, Usage
from stack.samples import Sample
from tests.support.waiting import wait_for

_BATCH = 1000
_FIELDS = ("id", "name", "email", "status")


def bare(bed: Bed, sample: Sample, path: Path) -> Usage:
    """(a) A bare PyMongo loop of unordered bulk upserts of 1,000, with the rows ready in memory."""
    records = [dict(zip(_FIELDS, (key, *values), strict=True)) for key, values in sample.records().items()]
    contacts = bed.database["contacts"]
    with bed.using() as usage:
        for batch in _batches(iter(records)):
            contacts.bulk_write([_statement(record, 1) for record in batch], ordered=False)
    return usage


def script(bed: Bed, sample: Sample, path: Path) -> Usage:
    """(b) The same loop, which also reads the file, validates with the same rules, and de-duplicates in a set."""
    entity = find_entity("Contact")
    assert entity is not None
    contacts = bed.database["contacts"]
    seen: set[str] = set()
    with bed.using() as usage, path.open(newline="", encoding="utf-8") as file:
        for batch in _batches(csv.DictReader(file)):
            fresh = []
            for row, record in enumerate(check_rows(entity, batch, 1).records):
                if record["id"] in seen or record["email"] in seen:
                    continue
                seen.update((record["id"], record["email"]))
                fresh.append(_statement(record, row))
            contacts.bulk_write(fresh, ordered=False)
    return usage


def mongoimport(bed: Bed, sample: Sample, path: Path) -> Usage:
    """(c) MongoDB's own tool, upserting with four workers. It validates nothing and keeps no outcomes."""
    named = path.with_name("mongoimport.csv")
    with path.open("rb") as source, named.open("wb") as target:
        # It upserts by the fields that the header row names.
        target.write(b"_" + source.readline())
        shutil.copyfileobj(source, target)
    command = [
        "mongoimport",
        f"--uri={bed.environment['MONGO_DB_URI']}",
        "--collection=contacts",
        f"--file={named}",
        "--type=csv",
        "--headerline",
        "--mode=upsert",
        "--upsertFields=_id",
        "--numInsertionWorkers=4",
    ]
    with bed.using() as usage:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments, no shell
    assert ended.returncode == 0, ended.stderr
    return usage


def platform(bed: Bed, sample: Sample, path: Path) -> Usage:
    """The platform, from POST to COMPLETED, with the workers that run."""
    worker = bed.workers[0]
    # Asks so often that waiting for the answer is little of a small file's time, and asking nothing of a large one's.
    pause = min(0.05, max(0.003, sample.rows / 1e6))
    with bed.using() as usage:
        action_id = worker.submit(path)
        wait_for(lambda: worker.action(action_id)["status"] in ENDED, "the action ended", timeout=3600, pause=pause)
    ended = worker.action(action_id)
    assert ended["status"] == "COMPLETED", ended
    assert ended["processedCount"] == sample.rows, ended
    return usage


def _statement(record: dict[str, str], row: int) -> pymongo.UpdateOne:
    tag = {"actionId": "bench", "row": row, "status": "SUCCESS"}
    fields = {"accountId": "default", **record, "_bulk": tag}
    return pymongo.UpdateOne(
        {"_id": f"default:{record['id']}"}, {"$set": fields, "$setOnInsert": {"createdBy": "bench"}}, upsert=True
    )


def _batches(records: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    while batch := list(islice(records, _BATCH)):
        yield batch
