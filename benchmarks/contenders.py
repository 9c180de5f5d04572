"""Who is measured side by side: two loops that a good engineer would write, and the platform."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pymongo

from app.domain.entities import find_entity
from app.domain.rows import check_rows
from benchmarks.bed import Bed, Usage
from stack.samples import Sample

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


def platform(bed: Bed, sample: Sample, path: Path) -> Usage:
    """The platform, from POST to COMPLETED, with the workers that run."""
    with bed.using() as usage:
        ended = bed.workers[0].wait_ended(bed.workers[0].submit(path), timeout=3600)
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
