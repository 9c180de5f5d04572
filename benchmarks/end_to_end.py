"""End to end beside a script: ``python -m benchmarks.end_to_end --rows 100000``.

In one run, against the same server, in turn: (a) a bare PyMongo loop of unordered bulk upserts of 1,000 with the
rows ready in memory; (b) the loop that a good engineer would write as a script, which also reads the file,
validates with the same rules and keeps the seen ids and emails in a set; (c) the platform with one worker, from
POST to COMPLETED. Each on its own empty collection. Prints rows per second, medians and ratios.
"""

from __future__ import annotations

import csv
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pymongo
import typer

from app.domain.entities import find_entity
from app.domain.rows import check_rows
from stack import Options, Stack
from stack.samples import Sample
from tests.conftest import namespace
from tests.support import Worker

_BATCH = 1000


def _statement(record: dict[str, str], row: int) -> pymongo.UpdateOne:
    tag = {"actionId": "bench", "row": row, "status": "SUCCESS"}
    fields = {"accountId": "default", **record, "_bulk": tag}
    return pymongo.UpdateOne(
        {"_id": f"default:{record['id']}"}, {"$set": fields, "$setOnInsert": {"createdBy": "bench"}}, upsert=True
    )


def _batches(records: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    while batch := list(islice(records, _BATCH)):
        yield batch


def bare(uri: str, records: list[dict[str, str]]) -> float:
    """Seconds for loop (a)."""
    with pymongo.MongoClient(uri) as client:
        contacts = client.get_default_database()["contacts"]
        contacts.drop()
        began = time.perf_counter()
        for batch in _batches(iter(records)):
            contacts.bulk_write([_statement(record, 1) for record in batch], ordered=False)
        return time.perf_counter() - began


def script(uri: str, path: Path) -> float:
    """Seconds for loop (b)."""
    entity = find_entity("Contact")
    assert entity is not None
    with pymongo.MongoClient(uri) as client, path.open(newline="", encoding="utf-8") as file:
        contacts = client.get_default_database()["contacts"]
        contacts.drop()
        began = time.perf_counter()
        seen: set[str] = set()
        for batch in _batches(csv.DictReader(file)):
            checked = check_rows(entity, batch, 1)
            fresh = []
            for record in checked.records:
                if record["id"] in seen or record["email"] in seen:
                    continue
                seen.update((record["id"], record["email"]))
                fresh.append(_statement(record, 1))
            contacts.bulk_write(fresh, ordered=False)
        return time.perf_counter() - began


def platform(worker: Worker, uri: str, path: Path) -> tuple[float, float]:
    """Seconds from POST to COMPLETED, and the CPU seconds of the worker in that time."""
    assert worker.process is not None
    with pymongo.MongoClient(uri) as client:
        client.get_default_database()["contacts"].drop()
    process = psutil.Process(worker.process.pid)
    cpu, began = sum(process.cpu_times()[:2]), time.perf_counter()
    action = worker.submit(path)
    worker.wait_ended(action, timeout=3600)
    return time.perf_counter() - began, sum(process.cpu_times()[:2]) - cpu


def main(
    rows: int = typer.Option(100_000, help="rows of the file"),
    repetitions: int = typer.Option(3, help="of each, in turn, after one of each to warm up"),
    in_file: bool = typer.Option(False, help="the server keeps its data in a file instead of in memory"),
) -> None:
    """Measure the platform beside two scripts."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    sample = Sample(rows, invalid=0.0, duplicates=0.0, multiline=0.0)
    sample.write(directory / "rows.csv")
    records = [
        dict(zip(("id", "name", "email", "status"), (key, *rest), strict=True))
        for key, rest in sample.records().items()
    ]
    options = Options(mongo_heap="4g", mongo_in_memory=not in_file)
    services = ("kafka", "mongo", "redis")
    with Stack(directory=directory / "stack", services=services, ports="free", options=options) as stack:
        environment = namespace(stack, directory)
        uri = environment["MONGO_DB_URI"]
        worker = Worker(environment, directory / "worker").start()
        try:
            figures: dict[str, list[float]] = {"bare": [], "script": [], "platform": [], "cpu": []}
            for repetition in range(repetitions + 1):
                taken = {"bare": bare(uri, records), "script": script(uri, directory / "rows.csv")}
                taken["platform"], taken["cpu"] = platform(worker, uri, directory / "rows.csv")
                if repetition:
                    for name, seconds in taken.items():
                        figures[name].append(seconds)
            peak = worker.peak_memory()
        finally:
            worker.kill()
    typer.echo(f"{rows} rows, {repetitions} repetitions, {os.cpu_count()} cores, median (min to max), rows per second")
    for name, label in (("bare", "(a) bare loop"), ("script", "(b) script"), ("platform", "platform")):
        speeds = sorted(rows / seconds for seconds in figures[name])
        typer.echo(f"  {label:14} {statistics.median(speeds):>9,.0f}  ({speeds[0]:,.0f} to {speeds[-1]:,.0f})")
    for name in ("bare", "script"):
        ratios = [a / b for a, b in zip(figures[name], figures["platform"], strict=True)]
        typer.echo(f"  platform / {name}: {statistics.median(ratios):.2f}")
    typer.echo(f"  worker: {1e6 * statistics.median(figures['cpu']) / rows:.1f} µs of CPU per row")
    typer.echo(f"  worker: peak memory {peak / 1024**2:.0f} MiB")


if __name__ == "__main__":
    typer.run(main)
