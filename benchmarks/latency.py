"""How long users wait: for small files, idle and under a large action, for live counters, and for lists."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from bson import ObjectId

from app.domain.actions import ENDED
from benchmarks.bed import Bed
from benchmarks.report import Table, median, quantile, say
from stack.samples import Sample
from tests.support.waiting import wait_for
from tests.support.workers import Worker

_SMALL = 100


def measure(bed: Bed, *, large_rows: int = 1_000_000, listed: int = 10_000) -> tuple[list[Table], dict[str, Any]]:
    """Measure all of it with one worker."""
    worker = bed.start_worker()
    waits: dict[str, list[float]] = {}
    # What is compiled and connected at the first use is no matter here.
    _repeat(20, lambda: _to_the_end(worker, _small(bed)))
    waits["POST of 100 rows, idle"] = _repeat(200, lambda: _post(worker, _small(bed)))
    waits["100 rows from POST to COMPLETED, idle"] = _repeat(30, lambda: _to_the_end(worker, _small(bed)))
    path = bed.directory / "large.csv"
    Sample(large_rows, invalid=0.0, duplicates=0.0, multiline=0.0).write(path)
    large = worker.submit(path)
    wait_for(lambda: worker.action(large)["processedCount"] > 0, "the large action runs")
    polls: list[tuple[float, int]] = []

    def running() -> bool:
        action = worker.action(large)
        polls.append((time.time(), action["processedCount"]))
        return action["status"] not in ENDED

    posts, ends = [], []
    while running():
        posts.append(_post(worker, _small(bed)))
        if running():
            ends.append(_to_the_end(worker, _small(bed), meanwhile=running))
    waits[f"POST of 100 rows, while {large_rows:,} run"] = posts
    waits[f"100 rows from POST to COMPLETED, while {large_rows:,} run"] = ends
    waits["age of the live counters"] = _ages(bed, large, polls)
    _add_actions(bed, listed)
    waits[f"GET list of 100, {listed:,} actions"] = _repeat(100, lambda: _get(worker, "/bulk-actions?limit=100"))
    bed.stop_workers()
    table = Table("Latency, ms", ["what", "p50", "p99", "most", "times"])
    for what, seconds in waits.items():
        figures = (1000 * value for value in (median(seconds), quantile(seconds, 0.99), max(seconds)))
        table.add(what, *(f"{value:,.1f}" for value in figures), str(len(seconds)))
        say(f"{what}: p50 {1000 * median(seconds):.1f} ms")
    return [table], {what: {"seconds": seconds} for what, seconds in waits.items()}


def _repeat(times: int, work: Callable[[], float]) -> list[float]:
    return [work() for _ in range(times)]


_counter = iter(range(10**9))


def _small(bed: Bed) -> Path:
    path = bed.directory / "small.csv"
    Sample(_SMALL, prefix=f"s{next(_counter)}x", invalid=0.0, duplicates=0.0).write(path)
    return path


def _post(worker: Worker, path: Path) -> float:
    began = time.perf_counter()
    worker.submit(path)
    return time.perf_counter() - began


def _to_the_end(worker: Worker, path: Path, meanwhile: Callable[[], object] | None = None) -> float:
    began = time.perf_counter()
    action = worker.submit(path)
    while worker.action(action)["status"] not in ENDED:
        if meanwhile:
            meanwhile()
        time.sleep(0.002)
    return time.perf_counter() - began


def _get(worker: Worker, path: str) -> float:
    began = time.perf_counter()
    assert worker.client.get(path).status_code == 200
    return time.perf_counter() - began


def _ages(bed: Bed, action: str, polls: list[tuple[float, int]]) -> list[float]:
    """How old the counters were that each poll saw: since when the ledger had had more rows than they said."""
    entries: Any = bed.database["chunk_outcomes"].find(
        {"_id": {"$regex": f"^{action}:"}}, {"closedAt": 1, "rowCount": 1}
    )
    closed = sorted((entry["closedAt"].replace(tzinfo=UTC).timestamp(), int(entry["rowCount"])) for entry in entries)
    totals = list(accumulate(rows for _, rows in closed))
    ages = []
    for at, seen in polls:
        # The first chunk that the counters did not yet have.
        position = bisect_left(totals, seen + 1)
        if position < len(closed):
            ages.append(max(0.0, at - closed[position][0]))
    return ages


def _add_actions(bed: Bed, count: int) -> None:
    """Put so many ended actions beside those that are there."""
    [template] = bed.database["bulk_operations"].find({"status": "COMPLETED"}).limit(1)
    now = datetime.now(UTC)
    bed.database["bulk_operations"].insert_many(
        [{**template, "_id": str(ObjectId()), "createdAt": now - timedelta(minutes=n)} for n in range(count)]
    )
