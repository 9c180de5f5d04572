"""Which chunk size, window and concurrency are fast: the platform alone, with one worker for each combination."""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks import contenders
from benchmarks.bed import Bed
from benchmarks.end_to_end import CLEAN, Run
from benchmarks.report import Table, median, say, spread
from stack.samples import Sample

BATCH_SIZES = (1000, 2000, 4000)
CONCURRENCIES = (2, 4, 8)
WINDOWS = (8, 16, 64)
#: What the others are while one is varied.
MIDDLE = {"BATCH_SIZE": "2000", "PROCESSOR_CONCURRENCY": "4", "FEED_WINDOW": "32"}


def measure(bed: Bed, rows: int, repetitions: int) -> tuple[list[Table], list[dict[str, Any]]]:
    """Vary batch size and concurrency together, then the window alone."""
    path = bed.directory / "rows.csv"
    sample = Sample(rows, **CLEAN)
    sample.write(path)
    table = Table(
        f"Settings, {rows:,} new rows, one worker",
        [
            "BATCH_SIZE",
            "PROCESSOR_CONCURRENCY",
            "FEED_WINDOW",
            "rows/s",
            "least to most",
            "µs of worker CPU",
            "peak MiB",
        ],
    )
    combinations = [
        {**MIDDLE, "BATCH_SIZE": str(size), "PROCESSOR_CONCURRENCY": str(concurrency)}
        for size, concurrency in product(BATCH_SIZES, CONCURRENCIES)
    ]
    combinations += [{**MIDDLE, "FEED_WINDOW": str(window)} for window in WINDOWS]
    records = []
    for settings in combinations:
        worker = bed.start_worker(**settings)
        run = Run(str(settings), rows, "new")
        for repetition in range(repetitions + 1):
            bed.database["contacts"].drop()
            usage = contenders.platform(bed, sample, path)
            if repetition:
                run.usages.append(usage)
        peak = worker.peak_memory() / 1024**2
        bed.stop_workers()
        table.add(
            *settings.values(),
            f"{median(run.speeds):,.0f}",
            spread(run.speeds),
            f"{run.cpu('worker'):.1f}",
            f"{peak:.0f}",
        )
        say(f"{settings}: {median(run.speeds):,.0f} rows/s")
        records.append({"settings": settings, **run.record()})
    return [table], records
