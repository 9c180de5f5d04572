"""The history of a record among the rows of many actions: how long it takes to be found."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from benchmarks.bed import Bed
from benchmarks.report import Table, median, say, spread
from stack.samples import Sample
from tests.support.workers import Worker


def measure(
    bed: Bed, *, files: int = 10, rows: int = 100_000, repetitions: int = 30
) -> tuple[list[Table], dict[str, Any]]:
    """Change every record by each of some files, and ask for records that stand at other places of these."""
    worker = bed.start_worker()
    path = bed.directory / "history.csv"
    keys: list[str] = []
    for number in range(files):
        sample = Sample(rows, invalid=0.0, duplicates=0.0, multiline=0.0, prefix="h", name_suffix=f" {number}")
        sample.write(path)
        worker.wait_ended(worker.submit(path), timeout=3600)
        keys = keys or list(sample.records())
    stored = bed.database.command("collStats", "chunk_outcomes")["size"]
    table = Table(
        f"Histories among {files:,} actions of {rows:,} rows",
        ["record", "entries", "chunks looked at", "ms, median", "least to most"],
        note=f"The ledger takes {stored / files / rows:.1f} bytes for each row.",
    )
    figures: dict[str, Any] = {}
    for what, key in {
        "nothing is known of it": "never",
        "in the first row of each file": keys[0],
        "in the middle": keys[len(keys) // 2],
        "in the last row": keys[-1],
    }.items():
        times: list[float] = []
        answer: dict[str, Any] = {}
        for _ in range(repetitions + 1):
            began = time.perf_counter()
            answer = _ask(worker, key)
            times.append(1000 * (time.perf_counter() - began))
        searched = answer.get("searched", {}).get("chunks", "all")
        table.add(
            what, str(len(answer.get("history", ()))), str(searched), f"{median(times[1:]):,.1f}", spread(times[1:])
        )
        figures[f"{what}, ms"] = times[1:]
        say(f"history, {what}: {median(times[1:]):,.1f} ms")
    bed.stop_workers()
    return [table], figures


def _ask(worker: Worker, key: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=600)
    connection.request("GET", f"/records/Contact/{key}?limit=500")
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found
