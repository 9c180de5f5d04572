"""Messages that wait, in great number, beside work that goes on."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from app.domain.dead_letters import Origin
from app.kafka.messages import Feed
from app.kafka.retry_headers import RetryHeaders
from stack.samples import Sample
from tests.support.scenes import MakeScene, Scene
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(300)

#: Longer than the test, seconds.
LONG = 600


@pytest.mark.parametrize("waiting", [100, 10_000])
def test_waiting_retries_block_no_action(make_scene: MakeScene, waiting: int) -> None:
    """Waiting retries hold up no other action.

    One hundred would fill the buffer of an agent, and with that stop every topic of its worker.
    """
    scene = make_scene(rows=20_000, RETRY_DELAYS=f"[{LONG}, {LONG}, {LONG}]")
    worker = scene.worker()
    alone = _seconds(scene, worker, "alone")
    asyncio.run(_wait_in_retry_topic(scene.environment, waiting))
    beside = _seconds(scene, worker, "beside")
    assert beside < 2 * alone + 3, f"{alone:.1f} s alone, {beside:.1f} s beside {waiting} waiting retries"


def _seconds(scene: Scene, worker: Worker, prefix: str) -> float:
    sample = Sample(20_000, seed=5, prefix=prefix)
    expected = sample.write(scene.directory / f"{prefix}.csv")
    began = time.monotonic()
    ended = worker.wait_ended(worker.submit(scene.directory / f"{prefix}.csv"), timeout=60)
    took = time.monotonic() - began
    assert {name: ended[name] for name in expected.counts()} == expected.counts()
    return took


async def _wait_in_retry_topic(environment: dict[str, str], count: int) -> None:
    message = Feed(action_id="f" * 24)
    origin = Origin(f"{environment['KAFKA_TOPIC']}.feed", 0, 0)
    retry_headers = RetryHeaders(origin, 1, "2026-01-31T09:00:00.000+00:00", "it failed", time.time() + LONG)
    async with AIOKafkaProducer(bootstrap_servers=environment["KAFKA_BROKER"].removeprefix("kafka://")) as producer:
        for number in range(count):
            await producer.send(
                f"{environment['KAFKA_TOPIC']}.retry.1",
                message.encode(),
                key=b"%d" % number,
                headers=list(retry_headers.to_headers().items()),
            )
        await producer.flush()
