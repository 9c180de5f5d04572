"""Metrics: the page says what there is, labels are bounded, and what is shown is what is there now."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import app.main  # noqa: F401 - all metrics are made
from app.domain.actions import PLATFORM, Action, Status, Transition
from app.domain.entities import ENTITIES
from app.domain.faults import Dependency, PassingFault
from app.domain.outcomes import Counts
from app.kafka import positions
from app.kafka.consumer import RepairedConsumer, _ConsumerThread
from app.kafka.sensor import KafkaSensor
from app.observability import metrics
from app.observability.chunk_timer import ChunkTimer
from app.observability.event_loop import measure_event_loop
from app.observability.metrics import count_rows
from app.observability.read_gauge import ReadGauge
from app.services.observation import observe
from tests.support.clocks import PAST, ManualClock
from tests.support.factories import make_action
from tests.support.paths import ROOT
from tests.support.requests import request_to
from web.errors.catalogue import LIMITS, NO_ROWS
from web.middleware.limit_metrics import limit_metrics

PAGE = (ROOT / "docs/reference/metrics.md").read_text()
#: The lines of its tables: name → type and labels.
LINES = {
    name: (kind.strip(), tuple(re.findall(r"`(\w+)`", labels)))
    for name, kind, labels in re.findall(r"^\| `(bulk_\w+)` \|([^|]*)\|([^|]*)\|", PAGE, re.MULTILINE)
}


def declared() -> dict[str, tuple[str, tuple[str, ...]]]:
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            suffix = "_total" if metric._type == "counter" else ""
            found[f"{metric._name}{suffix}"] = (metric._type, tuple(metric._labelnames))
        elif isinstance(metric, ReadGauge):
            found[metric.name] = ("gauge", metric.labels)
    return found


def value(name: str, **labels: str) -> float:
    """What a metric is now; 0 where it has not been counted yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


# The page


def test_page_has_the_metrics() -> None:
    """The page has every metric, with its type and its labels, and no other."""
    assert declared() == LINES


def test_all_metrics_are_declared_in_one_place() -> None:
    """What the registry has of ours is declared in ``metrics``."""
    names = {family.name for family in REGISTRY.collect() if family.name.startswith("bulk_")}
    assert names == {name.removesuffix("_total") for name in declared()}


def test_names_have_units() -> None:
    """A counter ends in ``_total``; a histogram, and a gauge of a quantity, says its unit."""
    units = ("_seconds", "_bytes", "_ratio", "_messages", "_actions")
    for name, (kind, _) in declared().items():
        if kind != "counter":
            assert name.endswith((*units, "_up", "_in_hand")), name


# Labels


@pytest.mark.parametrize(("entity", "label"), [("contact", "Contact"), ("Company", "Company"), ("x" * 99, "other")])
def test_entities_are_known_ones(entity: str, label: str) -> None:
    """Whatever a message calls its entity, the label is one of those that are declared."""
    before = value("bulk_rows_total", entity=label, outcome="created")
    count_rows(entity, Counts(success=3, failure=2, created=3))
    assert value("bulk_rows_total", entity=label, outcome="created") == before + 3
    found = {sample.labels["entity"] for family in metrics.ROWS.collect() for sample in family.samples}
    assert found <= {*ENTITIES, "other"}


async def test_limits_are_counted_by_code() -> None:
    """A limit that is hit is counted; what else is wrong with a request is not."""

    async def full(_: Any) -> Any:
        raise LIMITS[0].example_error()

    async def wrong(_: Any) -> Any:
        raise NO_ROWS()

    code = LIMITS[0].code
    before = value("bulk_limits_hit_total", code=code)
    for view in (full, wrong):
        with pytest.raises(Exception, match=r".+"):
            await limit_metrics(lambda: cast(Any, None))(request_to(None), view)
    assert value("bulk_limits_hit_total", code=code) == before + 1
    assert REGISTRY.get_sample_value("bulk_limits_hit_total", {"code": NO_ROWS.code}) is None


# What is read when it is asked for


def test_read_gauge_forgets() -> None:
    """A gauge shows what its sources say now, and nothing of a source that is gone."""
    registry = CollectorRegistry()
    gauge = ReadGauge("lag", "Lag", ["partition"], registry)
    with gauge.read_from(lambda: [(("0",), 7.0)]):
        assert registry.get_sample_value("lag", {"partition": "0"}) == 7.0
    assert registry.get_sample_value("lag", {"partition": "0"}) is None


def test_broken_source_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is left out, and said; the rest is shown."""
    registry = CollectorRegistry()
    gauge = ReadGauge("lag", "Lag", ["partition"], registry)

    def broken() -> list[Any]:
        raise RuntimeError("changed while it was read")

    with gauge.read_from(broken), gauge.read_from(lambda: [(("0",), 7.0)]):
        assert registry.get_sample_value("lag", {"partition": "0"}) == 7.0
    assert "lag cannot be read" in caplog.text


def test_no_lag_before_there_is_a_client() -> None:
    """The metrics are served before the consumer has started."""
    thread = cast(Any, SimpleNamespace(_consumer=None))
    thread.partitions = lambda: _ConsumerThread.partitions(thread)
    assert RepairedConsumer.lag(cast(Any, SimpleNamespace(_thread=thread))) == []


def client_with(state: Any) -> Any:
    assignment = SimpleNamespace(tps={"p"}, state_value=lambda _: state)
    return SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))


@pytest.mark.parametrize(
    ("highwater", "position", "done", "lag"),
    [(10, 8, 3, 7), (10, 8, None, 2), (10, 8, 12, 0), (None, 8, 3, None), (10, None, None, None)],
)
def test_lag(highwater: int | None, position: int | None, done: int | None, lag: int | None) -> None:
    """What is not done is behind the end by what the client knows; what it does not know is not guessed."""
    state = SimpleNamespace(highwater=highwater, position=position, has_valid_position=position is not None)
    assert positions.lag(client_with(state), "p", done) == lag
    assert positions.lag(client_with(state), "another", done) is None
    assert positions.lag(None, "p", done) is None


# Measurements


def test_stages_add_up() -> None:
    """A stage that is entered twice is one observation; one that is never entered is none."""
    clock = ManualClock()
    sums = [value("bulk_chunk_stage_seconds_sum", stage=stage) for stage in ("write", "read")]
    counts = [value("bulk_chunk_stage_seconds_count", stage=stage) for stage in ("write", "read")]
    with pytest.raises(ValueError, match="broken"), ChunkTimer(clock) as timer:
        for seconds in (1, 2):
            with timer.stage("write"):
                clock.now += seconds
        raise ValueError("broken")
    assert value("bulk_chunk_stage_seconds_sum", stage="write") == sums[0] + 3
    assert value("bulk_chunk_stage_seconds_count", stage="write") == counts[0] + 1
    assert value("bulk_chunk_stage_seconds_count", stage="read") == counts[1]


async def test_event_loop_lag_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the loop busy shows as lag."""
    monkeypatch.setattr("app.observability.event_loop.INTERVAL", 0.01)
    clock = ManualClock()
    monkeypatch.setattr("app.observability.event_loop.time.perf_counter", clock)
    before = value("bulk_event_loop_lag_seconds_sum")
    measuring = asyncio.create_task(measure_event_loop(None))
    await asyncio.sleep(0)
    clock.now += 0.51
    await measuring
    assert value("bulk_event_loop_lag_seconds_sum") == pytest.approx(before + 0.5)


def test_sensor_counts_what_kafka_does() -> None:
    sensor, nothing = KafkaSensor([]), cast(Any, None)
    names = ["bulk_kafka_send_seconds_count", "bulk_kafka_send_failures_total", "bulk_kafka_commit_seconds_count"]
    before = [value(name) for name in names]
    sensor.on_send_completed(nothing, sensor.on_send_initiated(nothing, "t", nothing, 1, 1), nothing)
    sensor.on_send_error(nothing, TimeoutError(), 0.0)
    sensor.on_commit_completed(nothing, sensor.on_commit_initiated(nothing))
    assert [value(name) for name in names] == [count + 1 for count in before]


# What waits


def action(status: Status, **fields: Any) -> Action:
    return replace(make_action(status=status), **fields)


def queued(minutes: int, by: str = PLATFORM) -> Transition:
    return Transition(status=Status.QUEUED, at=PAST + timedelta(minutes=minutes), by=by)


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({}, 0),
        ({"history": (queued(0, "me"),)}, 0),
        ({"scheduled_at": PAST + timedelta(minutes=5), "history": (queued(6),)}, 5),
        ({"scheduled_at": PAST + timedelta(minutes=5), "history": (queued(2, "me"),)}, 2),
    ],
    ids=["of 0.1", "at once", "scheduled", "moved by somebody"],
)
def test_due(fields: dict[str, Any], minutes: int) -> None:
    """An action is due when it was scheduled for, or when somebody has asked for it."""
    assert action(Status.QUEUED, **fields).due_at == PAST + timedelta(minutes=minutes)


def test_waiting_since_its_last_result() -> None:
    """Under way, an action waits since its last result, its beginning or its being resumed, whichever was last."""
    resumed = Transition(status=Status.PROCESSING, at=PAST + timedelta(minutes=9))
    running = {"started_at": PAST + timedelta(minutes=1), "progress_at": PAST + timedelta(minutes=4)}
    assert action(Status.PROCESSING, **running).waiting_since == running["progress_at"]
    assert action(Status.PROCESSING, **running, history=(resumed,)).waiting_since == resumed.at
    assert action(Status.PROCESSING, started_at=PAST).waiting_since == PAST


class Store:
    """The actions that wait, or a fault; and a storage."""

    def __init__(self, *waiting: Action) -> None:
        self.waiting_actions, self.fault, self.free = waiting, cast("Exception | None", None), cast("int | None", 5)
        self.context = cast(
            Any,
            SimpleNamespace(
                dependencies=SimpleNamespace(unavailable=self.nothing),
                store=SimpleNamespace(actions=self),
                storage=SimpleNamespace(free_bytes=self.free_bytes),
                index=None,
            ),
        )

    async def nothing(self) -> list[str]:
        return []

    async def waiting(self, now: Any, limit: int) -> list[Action]:
        if self.fault is not None:
            raise self.fault
        return list(self.waiting_actions)

    async def free_bytes(self) -> int | None:
        return self.free


async def test_oldest_of_each_status_is_shown() -> None:
    """The oldest action of each status counts; where none waits, 0."""
    store = Store(*(action(Status.QUEUED, created_at=PAST + timedelta(days=day)) for day in (1, 0)))
    await observe(store.context)
    shown = {status: value("bulk_oldest_waiting_action_seconds", status=status) for status in Status}
    assert shown[Status.QUEUED] > timedelta(days=1000).total_seconds()
    assert shown[Status.PROCESSING] == shown[Status.SCHEDULED] == 0
    assert value("bulk_storage_free_bytes") == 5
    store.free = None
    await observe(store.context)
    assert value("bulk_storage_free_bytes") == math.inf


async def test_what_is_not_known_is_not_shown() -> None:
    """While the database is away, nobody is shown what it said before."""
    store = Store()
    await observe(store.context)
    store.fault = PassingFault("away", Dependency.DATABASE)
    with pytest.raises(PassingFault):
        await observe(store.context)
    assert REGISTRY.get_sample_value("bulk_oldest_waiting_action_seconds", {"status": "QUEUED"}) is None
