"""Many actions at once on a database that is slow: those behind wait, and that is all that happens to them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

_ACTIONS = 300
_STALL_TIMEOUT = 2


def test_a_backlog_is_no_stall(make_scene: MakeScene) -> None:
    """Every action behind a backlog is COMPLETED, and few chunks are sent a second time meanwhile."""
    scene = make_scene(rows=1, STALL_TIMEOUT=str(_STALL_TIMEOUT), ACTION_MAX_STALLS="3", REQUEUE_AFTER="1")
    worker = scene.worker(inject={"slow_writes": {"seconds": 0.4}})
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker.submit, [b"id,name,email,status\na,A,a@x.example,active\n"] * _ACTIONS))

    def all_completed() -> bool:
        counts = _statuses(scene)
        assert "FAILED" not in counts, counts
        return counts["COMPLETED"] == _ACTIONS

    wait_for(all_completed, "all are COMPLETED", timeout=200, pause=0.5)
    # Pauses double: a chunk that waits has as many copies as there are doublings.
    copies = math.log2((time.monotonic() - began) / _STALL_TIMEOUT)
    assert asyncio.run(_chunks_sent(scene)) <= _ACTIONS * (1 + copies)


def _statuses(scene: Scene) -> Counter[str]:
    with pymongo.MongoClient(scene.environment["MONGO_DB_URI"]) as client:
        found = client.get_default_database()["bulk_operations"].find({}, {"status": 1})
        return Counter(action["status"] for action in found)


async def _chunks_sent(scene: Scene) -> int:
    topic = scene.environment["KAFKA_TOPIC"]
    consumer = AIOKafkaConsumer(bootstrap_servers=scene.environment["KAFKA_BROKER"].removeprefix("kafka://"))
    await consumer.start()
    try:
        partitions = range(int(scene.environment["TOPIC_PARTITIONS"]))
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in partitions])
        return sum(ends.values())
    finally:
        await consumer.stop()
