"""End to end: rows per second of the platform beside two scripts, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import contenders
from benchmarks.bed import Bed, Usage
from benchmarks.report import Table, median, say, spread
from stack.samples import Sample

#: Files of another kind, each of ``variant_rows`` rows: what they are called, and what is special.
VARIANTS: dict[str, dict[str, Any]] = {
    "5 % invalid": {"invalid": 0.05},
    "5 % duplicates": {"duplicates": 0.05},
    "quoted newlines in every row": {"multiline": 1.0},
    "wide rows (400 bytes more)": {"note": 400},
}
CLEAN: dict[str, Any] = {"invalid": 0.0, "duplicates": 0.0, "multiline": 0.0}

#: Files with more rows than these are measured once: their figures hardly move.
ONCE_ABOVE = 2_000_000

Contender = Callable[[Bed, Sample, Path], Usage]


@dataclass
class Plan:
    """What is measured."""

    sizes: Sequence[int] = (10_000, 100_000, 1_000_000)
    repetitions: int = 3
    warm_up_rows: int = 500_000
    variant_rows: int = 100_000
    workers: Sequence[int] = (1, 2)
    scripts: bool = True
    variants: bool = True


@dataclass
class Run:
    """The repetitions of one contender at one size."""

    name: str
    rows: int
    kind: str
    usages: list[Usage] = field(default_factory=list)

    @property
    def speeds(self) -> list[float]:
        """Rows per second of each repetition."""
        return [self.rows / usage.seconds for usage in self.usages]

    def cpu(self, process: str) -> float:
        """Microseconds of CPU per row, median."""
        return median([1e6 * usage.cpu_of(process) / self.rows for usage in self.usages])

    def record(self) -> dict[str, object]:
        """Return the run for the JSON file."""
        return {
            "name": self.name,
            "rows": self.rows,
            "kind": self.kind,
            "rows per second": self.speeds,
            "cpu µs per row": {name: self.cpu(name) for name in self.usages[0].cpu or {}},
            "kafka bytes per row": median([usage.kafka_bytes / self.rows for usage in self.usages]),
            "redis peak bytes per row": median([usage.redis_peak / self.rows for usage in self.usages]),
            "redis bytes per row afterwards": median([usage.redis_after / self.rows for usage in self.usages]),
        }


def measure(bed: Bed, plan: Plan) -> tuple[list[Table], list[dict[str, object]]]:
    """Run every contender, in turn, and sum up."""
    runs: list[Run] = []
    memory: dict[str, int] = {}
    for workers in plan.workers:
        while len(bed.workers) < workers:
            bed.start_worker()
        name = _platform_name(workers)
        _once(bed, contenders.platform, Sample(plan.warm_up_rows, **CLEAN))
        rivals: dict[str, Contender] = {name: contenders.platform}
        if plan.scripts and workers == plan.workers[0]:
            rivals = {"(a) bare loop": contenders.bare, "(b) script": contenders.script, **rivals}
            _once(bed, contenders.bare, Sample(plan.warm_up_rows, **CLEAN))
        for rows in plan.sizes:
            runs += _compare(bed, rivals, Sample(rows, **CLEAN), plan.repetitions)
            memory[f"{name}, after {rows:,} rows"] = max(worker.peak_memory() for worker in bed.workers)
        if plan.variants and workers == plan.workers[0]:
            for variant, special in VARIANTS.items():
                sample = Sample(plan.variant_rows, **{**CLEAN, **special})
                runs += _compare(bed, {name: contenders.platform}, sample, plan.repetitions, variant)
    bed.stop_workers()
    return _tables(runs, memory), [run.record() for run in runs] + [{"peak memory of a worker, bytes": memory}]


def _platform_name(workers: int) -> str:
    return "platform, 1 worker" if workers == 1 else f"platform, {workers} workers"


def _compare(bed: Bed, rivals: dict[str, Contender], sample: Sample, repetitions: int, variant: str = "") -> list[Run]:
    """Every rival writes the file as new records and, at once, again as updates; repeatedly, in changing order."""
    path = bed.directory / "rows.csv"
    sample.write(path)
    kinds = (variant,) if variant else ("new", "updates")
    runs = {(name, kind): Run(name, sample.rows, kind) for name in rivals for kind in kinds}
    for repetition in range(1 if sample.rows > ONCE_ABOVE else repetitions):
        names = list(rivals) if repetition % 2 == 0 else list(rivals)[::-1]
        for name in names:
            bed.database["contacts"].drop()
            for kind in kinds:
                usage = rivals[name](bed, sample, path)
                runs[name, kind].usages.append(usage)
                say(f"{name}, {sample.rows:,} rows, {kind}: {sample.rows / usage.seconds:,.0f} rows/s")
    bed.database["contacts"].drop()
    return list(runs.values())


def _once(bed: Bed, contender: Contender, sample: Sample) -> None:
    path = bed.directory / "rows.csv"
    sample.write(path)
    bed.database["contacts"].drop()
    contender(bed, sample, path)


def _tables(runs: list[Run], memory: dict[str, int]) -> list[Table]:
    speed = Table("End to end, rows per second", ["rows", "kind", "who", "median", "least to most", "of (a)", "of (b)"])
    cost = Table(
        "Cost, per row",
        ["rows", "kind", "who", "worker", "broker", "Redis", "database", "client", "Kafka", "Redis, peak", "after"],
        note="CPU in µs, median; Kafka and Redis in bytes.",
    )
    for run in runs:
        rivals = {other.name[:3]: other for other in runs if (other.rows, other.kind) == (run.rows, run.kind)}
        ratios = [_ratio(run, rivals.get(name)) for name in ("(a)", "(b)")]
        speed.add(f"{run.rows:,}", run.kind, run.name, f"{median(run.speeds):,.0f}", spread(run.speeds), *ratios)
        record = run.record()
        sizes = [
            f"{record[name]:.1f}" if run.name.startswith("platform") else "–"
            for name in ("kafka bytes per row", "redis peak bytes per row", "redis bytes per row afterwards")
        ]
        cpu = [f"{run.cpu(process):.1f}" for process in ("worker", "kafka", "redis", "mongo", "this process")]
        cost.add(f"{run.rows:,}", run.kind, run.name, *cpu, *sizes)
    peak = Table("Peak memory of a worker", ["when", "MiB"])
    for when, size in memory.items():
        peak.add(when, f"{size / 1024**2:.0f}")
    return [speed, cost, peak]


def _ratio(run: Run, other: Run | None) -> str:
    if other is None or other is run:
        return "–"
    return f"{median(run.speeds) / median(other.speeds):.2f}"
