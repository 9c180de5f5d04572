"""A Faust app of two agents, one of which does not go on until a file appears: ``faust -A tests.support.full_buffer``.

It says on standard output what happens: ``started``, ``full`` once the buffer of the slow agent is full, ``quick``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import faust

from app.kafka.consumer import RepairedApp

NAME, GO_ON = os.environ["BUFFER_TEST_NAME"], Path(os.environ["BUFFER_TEST_GO_ON"])
SIZE = int(os.environ["BUFFER_TEST_SIZE"])

app = RepairedApp(
    NAME,
    broker=os.environ["KAFKA_BROKER"],
    stream_buffer_maxsize=SIZE,
    topic_partitions=1,
    web_enabled=False,
    autodiscover=False,
    store="memory://",
    datadir=os.environ["DATA_DIR"],
)
slow_topic = app.topic(f"{NAME}.slow", value_type=bytes, value_serializer="raw", internal=True, partitions=1)
quick_topic = app.topic(f"{NAME}.quick", value_type=bytes, value_serializer="raw", internal=True, partitions=1)


class TellFull(faust.Sensor):  # type: ignore[misc]
    def on_topic_buffer_full(self, tp: Any) -> None:
        print("full", tp.topic.rpartition(".")[2], file=sys.__stdout__, flush=True)


app.sensors.add(TellFull())


@app.agent(slow_topic)
async def slow(stream: Any) -> None:
    async for _ in stream.events():
        print("slow", file=sys.__stdout__, flush=True)
        while not GO_ON.exists():
            await asyncio.sleep(0.1)


@app.agent(quick_topic)
async def quick(stream: Any) -> None:
    async for _ in stream.events():
        print("quick", file=sys.__stdout__, flush=True)
