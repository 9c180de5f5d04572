"""What one agent that does not get on does to the others of its worker: the reason why nothing waits in an agent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stack import KAFKA, Stack
from tests.support.waiting import wait_for

#: Messages that the buffer of an agent takes.
SIZE = 16


async def produce(stack: Stack, topic: str, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{stack[KAFKA].port}") as producer:
        for number in range(count):
            await producer.send_and_wait(topic, b"%d" % number)


@pytest.mark.parametrize(("waiting", "held_up"), [(SIZE // 2, False), (6 * SIZE, True)])
def test_full_buffer_stops_the_worker(services: Stack, tmp_path: Path, waiting: int, held_up: bool) -> None:
    """With room in its buffer, an agent that waits holds up nobody; when that is full, every agent of its worker."""
    name, go_on, log = f"t{uuid.uuid4().hex[:10]}", tmp_path / "go-on", tmp_path / "log"
    environment = {
        **os.environ,
        **services.environment(),
        "BUFFER_TEST_NAME": name,
        "BUFFER_TEST_SIZE": str(SIZE),
        "BUFFER_TEST_GO_ON": str(go_on),
        "DATA_DIR": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "faust", "-A", "tests.support.full_buffer", "worker", "-l", "warn"]
    asyncio.run(produce(services, f"{name}.slow", waiting))
    with log.open("wb") as output:
        app = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)

    def said(line: str) -> bool:
        assert app.poll() is None, log.read_text()

        return line in log.read_text().splitlines()

    try:
        wait_for(lambda: said("full slow" if held_up else "slow"), "the agent has its messages")
        asyncio.run(produce(services, f"{name}.quick", 1))
        if held_up:
            with pytest.raises(AssertionError):
                wait_for(lambda: said("quick"), "the other agent has its message", timeout=3)
            go_on.touch()
        wait_for(lambda: said("quick"), "the other agent has its message")
    finally:
        app.kill()
        app.wait()
