"""``python -m benchmarks``: the whole suite, or parts of it, on services of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import dashboard, end_to_end, histories, latency, observability, parts, results, streams, tuning
from benchmarks.bed import Bed
from benchmarks.report import Table, write

SUITES = (
    "end to end",
    "in a file",
    "latency",
    "streams",
    "results",
    "histories",
    "parts",
    "observability",
    "dashboard",
)


def main(
    suite: Annotated[
        list[str] | None, typer.Option(help=f"one of {', '.join(SUITES)}, tuning; default: all but it")
    ] = None,
    rows: Annotated[list[int] | None, typer.Option(help="sizes of the end-to-end files")] = None,
    repetitions: Annotated[
        int, typer.Option(help="of each, in changing order, after a warm-up; small files more often, the largest once")
    ] = 3,
    warm_up: Annotated[
        int, typer.Option(help="rows of the files that all run before; a fifth where the server has a file")
    ] = 100_000,
    workers: Annotated[list[int] | None, typer.Option(help="numbers of workers, ascending")] = None,
    rivals: Annotated[bool, typer.Option(help="measure two loops and mongoimport beside the platform")] = True,
    variants: Annotated[bool, typer.Option(help="measure files of other kinds as well")] = True,
    heap: Annotated[str, typer.Option(help="of the database server, where it is a Java program")] = "6g",
    out: Annotated[Path, typer.Option(help="directory for benchmark.md, .json and .svg")] = Path("build/benchmarks"),
) -> None:
    """Measure, print tables, and write them down."""
    wanted = suite or SUITES
    plan = end_to_end.Plan(
        sizes=rows or end_to_end.Plan.sizes,
        repetitions=repetitions,
        warm_up_rows=warm_up,
        workers=workers or end_to_end.Plan.workers,
        rivals=rivals,
        variants=variants,
    )
    tables: list[Table] = []
    figures: dict[str, Any] = {}

    def add(name: str, result: tuple[list[Table], Any]) -> None:
        tables.extend(result[0])
        figures[name] = result[1]

    if "end to end" in wanted:
        with Bed(heap=heap) as bed:
            add("end to end", end_to_end.measure(bed, plan))
    if "in a file" in wanted:
        # The server's file backend is some times slower.
        with Bed(in_file=True, heap=heap) as bed:
            one_worker = replace(plan, workers=(1,), variants=False, warm_up_rows=warm_up // 5, once_above=500_000)
            found, records = end_to_end.measure(bed, one_worker)
            for table in found:
                table.title += ", server with its file"
            add("in a file", (found, records))
    if "latency" in wanted:
        with Bed(heap=heap) as bed:
            add("latency", latency.measure(bed))
    if "streams" in wanted:
        with Bed(heap=heap) as bed:
            add("streams", streams.measure(bed))
    if "parts" in wanted:
        with Bed(heap=heap) as bed:
            add("parts", parts.measure(bed))
    if "results" in wanted:
        with Bed(heap=heap) as bed:
            add("results", results.measure(bed, rows=max(rows) if rows else 1_000_000))
    if "histories" in wanted:
        with Bed(heap=heap) as bed:
            add("histories", histories.measure(bed, rows=max(rows) if rows else 100_000))
    if "observability" in wanted:
        with Bed(heap=heap, also=observability.SERVICES) as bed:
            add("observability", observability.measure(bed, max(rows) if rows else 100_000, repetitions, warm_up))
    if "dashboard" in wanted:
        with Bed(heap=heap) as bed:
            add("dashboard", dashboard.measure(bed))
    if "tuning" in wanted:
        with Bed(heap=heap) as bed:
            add("tuning", tuning.measure(bed, plan.sizes[0] if rows else 200_000, repetitions))
    write(out, tables, figures)


typer.run(main)
