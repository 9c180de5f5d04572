"""What it costs to see what the platform does: one worker with everything off beside others with more and more on.

Metrics are in all of them: they cannot be switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks import contenders
from benchmarks.bed import Bed
from benchmarks.end_to_end import CLEAN, Run, orders
from benchmarks.report import Table, median, say, spread
from stack.samples import Sample
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: What is received where all of it is on.
SERVICES = ("traces", "elasticsearch")

#: Variables of the services above, by what they are for.
_TRACES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL")
_INDEX = ("ELASTICSEARCH_URI",)
_OFF = "everything off"

#: Each with the level of its log and the variables that it has.
MODES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    _OFF: ("warn", ()),
    "log": ("info", ()),
    "log, index of events": ("info", _INDEX),
    "log, index of events, traces": ("info", _TRACES + _INDEX),
}
SCENARIOS: Mapping[str, Mapping[str, Any]] = {"new": {}, "the same again": {}}


def measure(bed: Bed, rows: int, repetitions: int, warm_up: int) -> tuple[list[Table], list[dict[str, object]]]:
    """Let workers with more and more on run the same files, in turn; each has a namespace of its own."""
    workers = {name: _start(bed, number, *mode) for number, (name, mode) in enumerate(MODES.items())}
    order = orders(list(MODES))
    runs = {(name, kind): Run(name, rows, kind) for name in MODES for kind in SCENARIOS}
    _turns(bed, workers, warm_up, next(order), {})
    for _ in range(repetitions):
        _turns(bed, workers, rows, next(order), runs)
    bed.stop_workers()
    table = Table(
        f"What it costs to see what happens, {rows:,} rows, one worker",
        ["rows are", "on", "rows/s, median", "least to most", f"of {_OFF}", "µs of worker CPU", f"of {_OFF}"],
        note="Receiver and index run on the same machine.",
    )
    for (name, kind), run in runs.items():
        off = runs[_OFF, kind]
        speed, cpu = median(run.speeds) / median(off.speeds), run.cpu("worker") / off.cpu("worker")
        cells = (
            f"{median(run.speeds):,.0f}",
            spread(run.speeds),
            f"{speed:.2f}",
            f"{run.cpu('worker'):.1f}",
            f"{cpu:.2f}",
        )
        table.add(kind, name, *cells)
    return [table], [run.record() for run in runs.values()]


def _start(bed: Bed, number: int, level: str, variables: tuple[str, ...]) -> Worker:
    """Start a worker with these variables only, in a namespace of its own: so nobody does the work of another."""
    directory = bed.directory / f"mode{number}"
    given = {name: value for name, value in bed.environment.items() if name not in _TRACES + _INDEX}
    environment = {
        **given,
        **{name: bed.environment[name] for name in variables if name in bed.environment},
        "KAFKA_TOPIC": f"{bed.environment['KAFKA_TOPIC']}{number}",
        "MONGO_DB_URI": f"{bed.environment['MONGO_DB_URI']}{number}",
        "STORAGE_URI": (directory / "storage").as_uri(),
    }
    worker = Worker(environment, directory, level=level)
    bed.workers.append(worker)
    return worker.start()


def _turns(bed: Bed, workers: dict[str, Worker], rows: int, order: list[str], runs: dict[tuple[str, str], Run]) -> None:
    sample = Sample(rows, **CLEAN)
    path = bed.directory / f"observed{rows}.csv"
    if not path.exists():
        sample.write(path)
    for name in order:
        database = bed.mongo.get_database(workers[name].environment["MONGO_DB_URI"].rpartition("/")[2])
        # The first worker of the bed is the one that is measured.
        bed.workers.remove(workers[name])
        bed.workers.insert(0, workers[name])
        database["contacts"].drop()
        for kind in SCENARIOS:
            usage = contenders.platform(bed, sample, path)
            if "ELASTICSEARCH_URI" in workers[name].environment:
                # What is done behind the end of an action must not be in the time of the next.
                actions = database["bulk_operations"]
                wait_for(partial(_indexed, actions), "its events are indexed", timeout=600)
            say(f"{name}, {rows:,} rows, {kind}: {rows / usage.seconds:,.0f} rows/s")
            if runs:
                runs[name, kind].usages.append(usage)
        # What one leaves behind would make the database slower for those whose turn comes later.
        database["contacts"].drop()


def _indexed(actions: Any) -> bool:
    return actions.find_one({"indexAt": {"$exists": True}}) is None
