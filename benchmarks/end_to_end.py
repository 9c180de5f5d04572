"""End to end: rows per second of the platform beside what else a user could take, and what it costs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import contenders
from benchmarks.bed import Bed, Usage
from benchmarks.report import Table, median, say, spread
from stack.samples import Expected, Sample

CLEAN: dict[str, Any] = {"invalid": 0.0, "duplicates": 0.0, "multiline": 0.0}

#: Each file meets the records that the one before it left; what is special about it.
SCENARIOS: dict[str, dict[str, Any]] = {
    "new": {},
    "the same again": {},
    "one row in ten changed": {"name_suffix": " II", "suffix_every": 10},
    "one column changed": {"name_suffix": " III"},
}

#: Files of another kind, each of ``variant_rows`` new rows, for the platform alone.
VARIANTS: dict[str, dict[str, Any]] = {
    "5 % invalid": {"invalid": 0.05},
    "5 % duplicates": {"duplicates": 0.05},
    "quoted newlines in every row": {"multiline": 1.0},
    "wide rows (400 bytes more)": {"note": 400},
}

#: A repetition of a small file is so many runs that they have these rows together.
LEAST_ROWS = 10_000

Contender = Callable[[Bed, Sample, Path], Usage]
#: Each may be compared with these.
RIVALS: dict[str, Contender] = {
    "(a) bare loop": contenders.bare,
    "(b) script": contenders.script,
    "(c) mongoimport": contenders.mongoimport,
}


@dataclass
class Plan:
    """What is measured."""

    sizes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    repetitions: int = 3
    #: Files with more rows than these are measured once: their figures hardly move.
    once_above: int = 2_000_000
    warm_up_rows: int = 100_000
    variant_rows: int = 100_000
    workers: Sequence[int] = (1, 2)
    rivals: bool = True
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

    def cpu(self, *processes: str) -> float:
        """Microseconds of CPU per row, of all repetitions: the clock of a process ticks in hundredths of a second."""
        seconds = sum(usage.cpu_of(process) for usage in self.usages for process in processes)
        return 1e6 * seconds / (self.rows * len(self.usages))

    def record(self) -> dict[str, object]:
        """Return the run for the JSON file."""
        return {
            "name": self.name,
            "rows": self.rows,
            "kind": self.kind,
            "rows per second": self.speeds,
            "cpu µs per row": {name: self.cpu(name) for name in self.usages[0].cpu},
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
        name = "platform, 1 worker" if workers == 1 else f"platform, {workers} workers"
        first = workers == plan.workers[0]
        contest = Contest(bed, {**(available_rivals() if plan.rivals and first else {}), name: contenders.platform})
        # The server compiles what it runs often: it has seen every scenario of every contender, in both orders, first.
        contest.compare(plan.warm_up_rows, SCENARIOS, repetitions=2)
        for rows in plan.sizes:
            repetitions = 1 if rows > plan.once_above else plan.repetitions * max(1, LEAST_ROWS // rows)
            runs += contest.compare(rows, SCENARIOS, repetitions)
            memory[f"{name}, after {rows:,} rows"] = max(worker.peak_memory() for worker in bed.workers)
        if plan.variants and first:
            alone = Contest(bed, {name: contenders.platform})
            for kind, special in VARIANTS.items():
                runs += alone.compare(plan.variant_rows, {kind: special}, plan.repetitions)
    bed.stop_workers()
    return _tables(runs, memory), [run.record() for run in runs] + [{"peak memory of a worker, bytes": memory}]


def available_rivals() -> dict[str, Contender]:
    """Return the rivals that can run here; say which cannot."""
    if shutil.which("mongoimport"):
        return RIVALS
    say("mongoimport is not on the PATH: it is left out")
    return {name: rival for name, rival in RIVALS.items() if rival is not contenders.mongoimport}


def orders(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the names in one order after the other, so that each is first as often as the others, and last."""
    for turn in count():
        start = turn // 2 % len(names)
        rotated = [*names[start:], *names[:start]]
        yield rotated if turn % 2 == 0 else rotated[::-1]


class Contest:
    """Contenders that take turns."""

    def __init__(self, bed: Bed, contenders: dict[str, Contender]) -> None:
        self._bed = bed
        self._contenders = contenders
        self._orders = orders(list(contenders))

    def compare(self, rows: int, scenarios: dict[str, dict[str, Any]], repetitions: int) -> list[Run]:
        """Let every contender go through the scenarios from an empty collection; repeatedly, in changing order."""
        samples = {kind: Sample(rows, **{**CLEAN, **special}) for kind, special in scenarios.items()}
        files = self._write(samples.values())
        runs = {(name, kind): Run(name, rows, kind) for name in self._contenders for kind in samples}
        contacts = self._bed.database["contacts"]
        for _ in range(repetitions):
            for name in next(self._orders):
                contacts.drop()
                for kind, sample in samples.items():
                    path, expected = files[sample]
                    usage = self._contenders[name](self._bed, sample, path)
                    assert (stored := contacts.count_documents({})) == expected.success, f"{name}: {stored} records"
                    runs[name, kind].usages.append(usage)
                    say(f"{name}, {rows:,} rows, {kind}: {rows / usage.seconds:,.0f} rows/s")
        contacts.drop()
        return list(runs.values())

    def _write(self, samples: Iterable[Sample]) -> dict[Sample, tuple[Path, Expected]]:
        files = {}
        for number, sample in enumerate(dict.fromkeys(samples)):
            path = self._bed.directory / f"rows{number}.csv"
            files[sample] = path, sample.write(path)
        return files


def _tables(runs: list[Run], memory: dict[str, int]) -> list[Table]:
    speed = Table(
        "End to end, rows per second",
        ["rows", "kind", "who", "median", "least to most", "of (a)", "of (b)", "of (c)"],
    )
    processes = {"worker": "worker", "broker": "kafka", "Redis": "redis", "database": "mongo", "client": "client"}
    cost = Table(
        "Cost, per row",
        ["rows", "kind", "who", *processes, "all", "Kafka", "Redis, peak", "after"],
        note="CPU in µs, mean; Kafka and Redis in bytes, median.",
    )
    for run in runs:
        rivals = {other.name[:3]: other for other in runs if (other.rows, other.kind) == (run.rows, run.kind)}
        ratios = [_ratio(run, rivals.get(name)) for name in ("(a)", "(b)", "(c)")]
        speed.add(f"{run.rows:,}", run.kind, run.name, f"{median(run.speeds):,.0f}", spread(run.speeds), *ratios)
        record = run.record()
        sizes = [
            f"{record[name]:.1f}" if run.name.startswith("platform") else "–"
            for name in ("kafka bytes per row", "redis peak bytes per row", "redis bytes per row afterwards")
        ]
        cpu = [f"{run.cpu(process):.1f}" for process in processes.values()]
        together = f"{run.cpu(*processes.values()):.1f}"
        cost.add(f"{run.rows:,}", run.kind, run.name, *cpu, together, *sizes)
    peak = Table("Peak memory of a worker", ["when", "MiB"])
    for when, size in memory.items():
        peak.add(when, f"{size / 1024**2:.0f}")
    return [speed, cost, peak]


def _ratio(run: Run, other: Run | None) -> str:
    if other is None or other is run:
        return "–"
    return f"{median(run.speeds) / median(other.speeds):.2f}"
