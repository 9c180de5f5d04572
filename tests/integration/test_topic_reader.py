"""The reader of topics on a real broker: each partition at its own pace, and no record lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from app.kafka.topic_reader import Event, TopicReader
from stack import Stack
from tests.support.waiting import eventually


class Bench:
    """Two topics of two partitions, and readers that come and go."""

    def __init__(self, address: str) -> None:
        name = f"t{uuid.uuid4().hex[:10]}"
        self.client = {"bootstrap_servers": address}
        self.group = f"{name}-waiting"
        self.slow, self.quick = f"{name}.slow", f"{name}.quick"
        self.seen: list[tuple[str, int, bytes | None]] = []
        self.gate = asyncio.Event()

    async def note(self, event: Event) -> None:
        self.seen.append((event.message.topic, event.message.partition, event.value))

    async def wait(self, event: Event) -> None:
        await self.gate.wait()
        await self.note(event)

    @asynccontextmanager
    async def reader(self, **handlers: Callable[[Event], Awaitable[None]]) -> AsyncIterator[None]:
        found = {self.slow: handlers.get("slow", self.note), self.quick: handlers.get("quick", self.note)}
        reader = TopicReader(self.client, self.group, found, session_timeout=6)
        running = asyncio.create_task(reader.run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def send(
        self, topic: str, partition: int, *values: bytes, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        async with AIOKafkaProducer(**self.client, max_request_size=2_000_000) as producer:
            for value in values:
                await producer.send(topic, value, partition=partition, headers=headers or [])
            await producer.flush()

    async def committed(self, topic: str, partition: int) -> int | None:
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
        place = found.get(TopicPartition(topic, partition))
        return None if place is None else place.offset

    def values(self, topic: str) -> list[bytes | None]:
        return [value for name, _, value in self.seen if name == topic]


@pytest.fixture
async def bench(services: Stack) -> Bench:
    bench = Bench(services.environment()["KAFKA_BROKER"].removeprefix("kafka://"))
    admin = AIOKafkaAdminClient(**bench.client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 2, 1) for topic in (bench.slow, bench.quick)])
    finally:
        await admin.close()
    return bench


async def test_waiting_partition_blocks_no_other(bench: Bench) -> None:
    """A partition that waits holds up no other. Not even ten thousand records before one that waits for ever."""
    waiting = [b"%d" % number for number in range(10_000)]
    async with bench.reader(slow=bench.wait):
        await bench.send(bench.slow, 0, *waiting)
        for number in range(5):
            await bench.send(bench.quick, 1, b"%d" % number)
            await eventually(lambda n=number: len(bench.values(bench.quick)) > n, "read at once")
        assert bench.values(bench.slow) == []
        bench.gate.set()
        await eventually(lambda: len(bench.values(bench.slow)) == 10_000, "all read")
    assert bench.values(bench.slow) == waiting, "in their order, each once"


async def test_waiting_record_is_left_to_next(bench: Bench) -> None:
    """What waits is left to the next reader. What was handled is committed even behind it nothing could be done."""

    async def stops_at_three(event: Event) -> None:
        await (bench.wait if event.value == b"3" else bench.note)(event)

    await bench.send(bench.slow, 0, b"1", b"2", b"3", b"4")
    async with bench.reader(slow=stops_at_three):
        await eventually(lambda: len(bench.seen) == 2, "two are read")
    assert await bench.committed(bench.slow, 0) == 2
    async with bench.reader():
        await eventually(lambda: len(bench.seen) == 4, "the others are read")
    assert bench.values(bench.slow) == [b"1", b"2", b"3", b"4"]
    assert await bench.committed(bench.slow, 0) == 4


async def test_partitions_are_taken_over(bench: Bench) -> None:
    """A second reader takes over partitions."""
    async with bench.reader(slow=bench.wait):
        await bench.send(bench.slow, 0, b"a")
        await bench.send(bench.slow, 1, b"b")
        async with bench.reader(slow=bench.wait):
            await bench.send(bench.quick, 0, b"c")
            await bench.send(bench.quick, 1, b"d")
            await eventually(lambda: set(bench.values(bench.quick)) == {b"c", b"d"}, "both go on")
            bench.gate.set()
            await eventually(lambda: set(bench.values(bench.slow)) == {b"a", b"b"}, "what waited is done")


async def test_raising_handler_loses_nothing(bench: Bench) -> None:
    """A handler that raises loses nothing."""
    faults = [ValueError("never to happen")]

    async def raises_once(event: Event) -> None:
        if faults:
            raise faults.pop()
        await bench.note(event)

    await bench.send(bench.slow, 0, b"1", b"2")
    async with bench.reader(slow=raises_once):
        await eventually(lambda: bench.values(bench.slow) == [b"1", b"2"], "both are read")


async def test_a_large_record_is_read(bench: Bench) -> None:
    """It is larger than what is fetched of a partition at once."""
    await bench.send(bench.slow, 0, b"x" * 1_040_000, b"2")
    async with bench.reader():
        await eventually(lambda: len(bench.seen) == 2, "both are read")
