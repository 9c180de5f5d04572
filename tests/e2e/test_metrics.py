"""What a worker shows to Prometheus after an action has run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.observability.metrics import STAGES
from tests.support.files import HEADER
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: A sample: its name and its labels.
Key = tuple[str, tuple[tuple[str, str], ...]]

#: Two rows that succeed, one that fails, and one that is a duplicate.
ROWS = b"m1,N,m1@x.example,active\nm2,N,m2@x.example,active\nm3,N,nothing,active\nm1,N,m1@x.example,active\n"


def key(name: str, **labels: str) -> Key:
    return name, tuple(sorted(labels.items()))


def scraped(worker: Worker) -> dict[Key, float]:
    answer = worker.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def before(worker: Worker) -> dict[Key, float]:
    return scraped(worker)


@pytest.fixture(scope="module")
def after(worker: Worker, before: dict[Key, float]) -> Iterator[tuple[str, dict[Key, float]]]:
    """The action, and what is shown when nothing of it is on its way any more."""
    action_id = worker.submit(HEADER + ROWS)
    worker.wait_ended(action_id)

    def settled() -> dict[Key, float] | None:
        shown = scraped(worker)
        lags = [value for (name, _), value in shown.items() if name == "bulk_consumer_lag_messages"]
        return shown if lags and not any(lags) else None

    yield action_id, wait_for(settled, "the worker is behind nothing")


@pytest.mark.parametrize(
    ("name", "labels", "more"),
    [
        ("bulk_rows_total", {"entity": "Contact", "outcome": "created"}, 2),
        ("bulk_rows_total", {"entity": "Contact", "outcome": "failed"}, 1),
        ("bulk_rows_total", {"entity": "Contact", "outcome": "duplicate"}, 1),
        ("bulk_actions_ended_total", {"entity": "Contact", "status": "COMPLETED"}, 1),
        *(("bulk_chunk_stage_seconds_count", {"stage": stage}, 1) for stage in STAGES),
        ("bulk_window_use_ratio_count", {}, 1),
        ("bulk_dispatch_delay_seconds_count", {}, 1),
    ],
    ids=str,
)
def test_action_is_counted(
    before: dict[Key, float],
    after: tuple[str, dict[Key, float]],
    name: str,
    labels: dict[str, str],
    more: float,
) -> None:
    """An action of one chunk is one observation of each kind, and its rows are counted by outcome."""
    _, shown = after
    assert shown[key(name, **labels)] - before.get(key(name, **labels), 0) == more


def test_upload_is_counted(before: dict[Key, float], after: tuple[str, dict[Key, float]]) -> None:
    """The bytes of an upload are those of its form."""
    grown = after[1][key("bulk_upload_bytes_total")] - before[key("bulk_upload_bytes_total")]
    assert len(HEADER + ROWS) < grown < len(HEADER + ROWS) + 2000


def test_lag_of_each_partition_is_shown(worker: Worker, shared_environment: dict[str, str]) -> None:
    """Every partition of every topic is there, and of no changelog."""
    base = shared_environment["KAFKA_TOPIC"]
    endings = ("", ".feed", ".results", ".retry.1", ".retry.2", ".retry.3", ".DLQ", ".POISON")
    partitions = range(int(shared_environment["TOPIC_PARTITIONS"]))
    wanted = {
        key("bulk_consumer_lag_messages", topic=f"{base}{ending}", partition=str(partition))
        for ending in endings
        for partition in partitions
    }

    def shown() -> bool:
        # Readers that have just joined have not fetched from all of theirs yet.
        return {sample for sample in scraped(worker) if sample[0] == "bulk_consumer_lag_messages"} == wanted

    wait_for(shown, "the lag of each partition is shown, and no other")


def test_dependencies_are_looked_at(after: tuple[str, dict[Key, float]]) -> None:
    """What the worker depends on is up, and its writes were measured; nothing waits; there is room."""
    _, shown = after
    for name in ("mongodb", "redis", "storage", "kafka"):
        assert shown[key("bulk_dependency_up", dependency=name)] == 1
        assert shown[key("bulk_dependency_probe_seconds_count", dependency=name)] > 0
    for status in ("SCHEDULED", "QUEUED", "PROCESSING"):
        assert key("bulk_oldest_waiting_action_seconds", status=status) in shown
    assert shown[key("bulk_storage_free_bytes")] > 0
    assert shown[key("bulk_event_loop_lag_seconds_count")] > 0
    assert shown[key("bulk_kafka_send_seconds_count")] > 0
    assert shown[key("bulk_chunks_in_hand")] == 0


def test_limit_is_counted(worker: Worker, after: tuple[str, dict[Key, float]]) -> None:
    """A file that is too large counts, by the code of its error."""
    code = worker.upload(HEADER + b"a,b,c,d\n" * 300_000).json()["code"]
    wanted = key("bulk_limits_hit_total", code=code)
    assert scraped(worker)[wanted] == after[1][wanted] + 1


def test_labels_name_no_action(after: tuple[str, dict[Key, float]]) -> None:
    """No label has the id of an action, or an account."""
    action_id, shown = after
    values = {value for name, labels in shown if name.startswith("bulk_") for _, value in labels}
    assert not values & {action_id, "default"}
