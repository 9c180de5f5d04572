"""The list of workers, as each of them answers with it, while one dies and another is stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from tests.support.logs import lines_of
from tests.support.waiting import wait_for
from tests.support.workers import Worker
from web.openapi.models import WorkerList

SETTINGS = {"WORKER_ANNOUNCE_SECONDS": "1", "BROKER_SESSION_TIMEOUT": "6", "TOPIC_PARTITIONS": "4"}


def told(worker: Worker) -> dict[int, dict[str, Any]]:
    """What a worker knows of all of them, by their ports."""
    answer = worker.client.get("/workers")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    WorkerList.model_validate(body, strict=False)
    shown = {one["port"]: one for one in body["workers"]}
    assert len(shown) == len(body["workers"])
    assert [port for port, one in shown.items() if one["self"]] == [worker.port]
    return shown


def states(worker: Worker) -> dict[int, str]:
    return {port: one["state"] for port, one in told(worker).items()}


def all_ready(worker: Worker, others: Collection[Worker]) -> dict[int, dict[str, Any]] | None:
    """What a worker knows, once these are ready, one of them leads, and each topic's four partitions are theirs."""
    shown = told(worker)
    alive = [shown[one.port] for one in (worker, *others) if one.port in shown]
    sums = Counter[str]()
    for one in alive:
        sums.update(one["partitions"])
    settled = (
        [one["state"] for one in alive] == ["READY"] * (1 + len(others))
        and sum(one["leader"] for one in alive) == 1
        and list(sums.values()) == [4, 4, 4]
    )
    return shown if settled else None


def test_dead_and_stopped_workers(start_worker: Callable[..., Worker]) -> None:
    """One that is killed is lost after three intervals, one that is stopped leaves at once, and the others go on."""
    witness, doomed, leaving = (start_worker(wait=False, **SETTINGS) for _ in range(3))
    trio = (witness, doomed, leaving)
    for worker in trio:
        worker.wait_ready()
    for worker in trio:
        others = [other for other in trio if other is not worker]
        shown = wait_for(lambda worker=worker, others=others: all_ready(worker, others), "each knows all")  # type: ignore[misc]
    for worker in trio:
        one = shown[worker.port]
        assert worker.process is not None
        assert one["pid"] == worker.process.pid
        assert [state["name"] for state in one["dependencies"]] == ["mongodb", "redis", "storage", "kafka"]
        assert one["memoryBytes"] > 20 * 1024**2
    assert witness.client.get("/workers").json()["complete"]

    doomed.kill()
    assert leaving.stop() == 0
    assert leaving.port not in states(witness)
    wait_for(lambda: states(witness).get(doomed.port) == "LOST", "the dead one is lost", timeout=60)
    shown = wait_for(lambda: all_ready(witness, []), "the partitions have moved")
    assert {port: one["state"] for port, one in shown.items()} == {witness.port: "READY", doomed.port: "LOST"}
    assert not [line for line in lines_of(witness.log) if "other workers" in line["event"]]
