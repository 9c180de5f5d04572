"""A worker whose consumer is stuck says so, and one that is slow, idle or waiting is left alone."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.logs import lines_of
from tests.support.scenes import Inject, MakeScene, Scene
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: As short as a database that is slow allows.
SHORT = {"STALL_TIMEOUT": "5", "STUCK_TIMEOUT": "5", "PROCESSOR_CONCURRENCY": "1"}
#: How long something is away: longer than anything may stand still, seconds.
AWAY = 15.0
#: What makes a consumer stuck.
STUCK: dict[str, Inject] = {
    "a handler hangs": {"hang_chunks": {}},
    "nothing is fetched": {"stop_fetching": {"after": 3}},
}


def healthy(worker: Worker) -> bool:
    answer = worker.client.get("/health")
    assert answer.json() == {"status": "UP" if answer.status_code == 200 else "DOWN"}
    return answer.status_code == 200


@pytest.mark.parametrize("fault", STUCK)
def test_stuck_consumer_is_told(make_scene: MakeScene, fault: str) -> None:
    """So that it is started again, which finishes the file."""
    scene = make_scene(rows=3_000, **SHORT)
    worker = scene.worker(inject=STUCK[fault])
    assert healthy(worker)
    action = worker.submit(scene.file)
    wait_for(lambda: not healthy(worker), "the worker says that it is stuck", timeout=120)
    [told] = [line for line in lines_of(worker.log) if line["event"] == "the consumer is stuck"]
    assert told["level"] == "error"
    assert "=" in told["waiting"]
    assert [one["state"] for one in worker.client.get("/workers").json()["workers"]] == ["STUCK"]
    # It is not what is needed that is away.
    assert set(worker.readiness()["checks"].values()) == {"UP"}
    worker.kill()
    scene.struck()
    scene.assert_exact(scene.worker(), action)


def test_held_up_worker_ends_itself(make_scene: MakeScene) -> None:
    """One that answers nothing any more and would keep its partitions says where it was, and ends."""
    scene = make_scene(rows=3_000)
    worker = scene.worker(inject={"hold_up": {}}, EVENT_LOOP_TIMEOUT="10")
    action = worker.submit(scene.file)
    worker.wait_dead()
    assert worker.process is not None
    assert worker.process.poll() == 1
    told = worker.log.read_text()
    assert "Timeout (0:00:10)!" in told
    assert "injected.py" in told, "where it was held up"
    scene.struck()
    scene.assert_exact(scene.worker(), action)


def test_no_rule_tells_nothing(make_scene: MakeScene) -> None:
    """What the test above sees is the rule's doing: without it the worker is healthy for ever."""
    scene = make_scene(rows=3_000, **{**SHORT, "STUCK_TIMEOUT": "0"})
    worker = scene.worker(inject=STUCK["a handler hangs"])
    worker.submit(scene.file)
    # Its chunks are sent again after each STALL_TIMEOUT, so that twice as long has passed.
    wait_for(lambda: worker.log.read_text().count("no result for a while") >= 3, "nothing gets on for long")
    assert healthy(worker)


def test_slow_chunk_is_not_stuck(make_scene: MakeScene) -> None:
    """A chunk takes longer than anything may stand still, and each of its steps less."""
    scene = make_scene(rows=400, **SHORT)
    worker = scene.worker(inject={"slow_writes": {"seconds": 3.5}, "slow_close": {"seconds": 3.5}})
    action = worker.submit(scene.file)
    seen: list[bool] = []

    def ended() -> bool:
        seen.append(healthy(worker))
        return (worker.poll(action) or {}).get("status") == "COMPLETED"

    wait_for(ended, "the action has ended", timeout=120)
    assert all(seen)


@pytest.mark.parametrize("outage", ["Redis hangs", "broker killed", "storage unmounted"])
def test_outage_is_not_stuck(make_durable_scene: MakeScene, outage: str) -> None:
    """What waits for a service that is away would wait as well in a worker that was started again."""
    scene = make_durable_scene(**SHORT)
    worker = scene.worker(inject={"slow_writes": {"seconds": 0.1}})
    action = scene.under_way(worker)
    seen: list[bool] = []
    with scene.away(outage):
        end = time.monotonic() + AWAY

        def long_away() -> bool:
            seen.append(healthy(worker))
            return time.monotonic() > end

        wait_for(long_away, "it has been away for long")
    scene.assert_exact(worker, action)
    assert all([*seen, healthy(worker)])


def test_idle_worker_is_not_stuck(make_scene: MakeScene) -> None:
    """Nothing moves where nothing waits, also behind the end of a transaction, which no message has."""
    scene = make_scene(rows=400, **SHORT)
    worker = scene.worker()
    scene.assert_exact(worker, worker.submit(scene.file))
    asyncio.run(_commit_nothing_of_ours(scene))
    end = time.monotonic() + 3 * float(SHORT["STUCK_TIMEOUT"])

    def long_idle() -> bool:
        assert healthy(worker)
        return time.monotonic() > end

    wait_for(long_idle, "it has been idle for long")


async def _commit_nothing_of_ours(scene: Scene) -> None:
    """Write a transaction to every partition of the chunk topic: a message that is no chunk, and its end."""
    topic, partitions = scene.environment["KAFKA_TOPIC"], int(scene.environment["TOPIC_PARTITIONS"])
    broker = scene.environment["KAFKA_BROKER"].removeprefix("kafka://")
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=topic)
    async with producer, producer.transaction():
        for partition in range(partitions):
            await producer.send_and_wait(topic, b"no chunk", partition=partition)
