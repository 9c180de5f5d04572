"""What became of a million rows, as a file: the platform beside a bare loop over the same ledger and the same file."""

from __future__ import annotations

import csv
import http.client
import os
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from app.domain.outcomes import ChunkOutcome
from benchmarks.bed import Bed
from benchmarks.report import Table, median, say, spread
from stack.samples import Sample
from tests.support.namespaces import storage_of
from tests.support.workers import Worker

#: What is asked for, and in which form.
REQUESTS = {
    "all rows, CSV": ("/results", "text/csv"),
    "all rows, NDJSON": ("/results", "application/x-ndjson"),
    "FAILED and SKIPPED, CSV": ("/results?status=FAILED,SKIPPED", "text/csv"),
}
_CHUNKS_PER_READ = 16
_BUFFER = 1024 * 1024


def measure(bed: Bed, *, rows: int = 1_000_000, repetitions: int = 5) -> tuple[list[Table], dict[str, Any]]:
    """Measure files without a fault and files with some, taking turns."""
    worker = bed.start_worker()
    table = Table(
        f"Results of {rows:,} rows",
        ["file", "what", "ms, median", "least to most", "rows/s", "MB", "MiB, worker"],
        note="The loop reads the ledger and the file and writes rows with outcomes, without messages, to nowhere.",
    )
    figures: dict[str, Any] = {}
    for name, sample in {
        "clean": Sample(rows, invalid=0.0, duplicates=0.0, multiline=0.0, prefix="clean"),
        "5 % invalid, 5 % duplicates": Sample(rows, prefix="mixed"),
    }.items():
        path = bed.directory / f"{sample.prefix}.csv"
        sample.write(path)
        action_id = worker.submit(path)
        worker.wait_ended(action_id, timeout=3600)
        contenders: dict[str, Callable[[], int]] = {"bare loop, all rows": lambda a=action_id: _loop(bed, a)}  # type: ignore[misc]
        for what, (part, accepted) in REQUESTS.items():
            contenders[what] = lambda a=action_id, p=part, t=accepted: _download(worker, a, p, t)  # type: ignore[misc]
        times: dict[str, list[float]] = {what: [] for what in contenders}
        sizes: dict[str, int] = {}
        for _ in range(repetitions + 1):
            for what, work in contenders.items():
                began = time.perf_counter()
                sizes[what] = work()
                times[what].append(time.perf_counter() - began)
        memory = f"{worker.peak_memory() / 2**20:,.0f}"
        for what, taken in times.items():
            warm = [1000 * seconds for seconds in taken[1:]]
            speed = rows / median(warm) * 1000
            table.add(
                name, what, f"{median(warm):,.1f}", spread(warm), f"{speed:,.0f}", f"{sizes[what] / 1e6:,.1f}", memory
            )
            figures[f"{name}, {what}, ms"] = warm
            say(f"{name}, {what}: {median(warm):,.1f} ms")
    bed.stop_workers()
    return [table], figures


def _download(worker: Worker, action_id: str, part: str, accepted: str) -> int:
    """Return how many bytes an answer has."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=600)
    connection.request("GET", f"/bulk-actions/{action_id}{part}", headers={"Accept": accepted})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    buffer, size = bytearray(_BUFFER), 0
    while count := answer.readinto(buffer):
        size += count
    connection.close()
    return size


def _loop(bed: Bed, action_id: str) -> int:
    """Write every row with its outcome, as a good engineer would without the platform."""
    action = bed.database["bulk_operations"].find_one({"_id": action_id})
    assert action is not None
    path = storage_of(bed.environment) / str(action["storageKey"])
    chunks = int(str(action["chunkCount"]))
    with path.open(newline="", encoding="utf-8") as file, Path(os.devnull).open("w", newline="") as target:
        records, written = csv.reader(file), csv.writer(target)
        written.writerow([*next(records), "_row", "_status", "_code", "_recordId"])
        for first in range(0, chunks, _CHUNKS_PER_READ):
            ids = [f"{action_id}:{index}" for index in range(first, min(first + _CHUNKS_PER_READ, chunks))]
            found: dict[str, Any] = {
                str(entry["_id"]): entry for entry in bed.database["chunk_outcomes"].find({"_id": {"$in": ids}})
            }
            for chunk in ids:
                written.writerows(_rows(ChunkOutcome.from_document(found[chunk]), records))
    return 0


def _rows(outcome: ChunkOutcome, records: Any) -> list[list[object]]:
    exceptions = {entry.row: entry for entry in outcome.exceptions}
    codes = outcome.codes()
    made: list[list[object]] = []
    for row, record in enumerate(islice(records, outcome.row_count), outcome.first_row):
        entry = exceptions.get(row)
        if entry is None:
            made.append([*record, row, "SUCCESS", codes[row - outcome.first_row], record[0]])
        else:
            made.append([*record, row, entry.status, entry.code, ""])
    return made
