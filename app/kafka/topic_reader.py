"""A reader of topics in which every partition goes at its own pace: a record may wait as long as it must.

Faust's agents are fed by one loop per worker, so that an agent that waits holds up every other topic. Here each
partition has a task of its own, which takes the records one after another, and only partitions whose task is done are
fetched. A record is committed once it has been handled: at least once, whatever dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from app.domain.tasks import end_tasks
from app.kafka import lenient_records, positions
from app.observability.metrics import CONSUMER_LAG
from app.observability.read_gauge import Reading

log = logging.getLogger(__name__)

lenient_records.install()

#: Records of one fetch, of all partitions together.
_BATCH = 200
#: Longest wait for records before the partitions that have become free are asked for as well, seconds.
_POLL = 0.2
#: Between two attempts to connect, seconds.
_PAUSE = 1.0
#: Bytes kept of a partition whose records wait; a larger record is fetched all the same.
_FETCH_BYTES = 256 * 1024
#: A partition may wait for as long as it likes: that the reader lives is told by its heartbeats.
_NO_POLL_LIMIT_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic; the time in seconds, as Faust has it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any
    timestamp: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """A record in the form in which Faust gives it to its agents."""

    message: Record

    @property
    def value(self) -> bytes | None:
        """The bytes of the record."""
        return self.message.value

    @classmethod
    def of(cls, record: Any) -> Event:
        """Return the event of a record of the client."""
        timestamp = None if record.timestamp is None else record.timestamp / 1000
        return cls(
            Record(record.topic, record.partition, record.offset, record.key, record.value, record.headers, timestamp)
        )

    @classmethod
    def made(cls, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> Event:
        """Return the event of a message that no topic has."""
        return cls(Record(topic, 0, 0, key, value, headers, time.time()))


Handle = Callable[[Event], Awaitable[None]]


class TopicReader:
    """A member of a consumer group that reads topics until it is stopped, whatever happens to the broker.

    Args:
        client: how to reach the broker: arguments of a client of aiokafka.
        group: the consumer group.
        handlers: for each topic what is awaited for every record of it; it may take its time, and does not raise.
        session_timeout: seconds after which the partitions of a reader that died go to another.
    """

    def __init__(
        self, client: Mapping[str, Any], group: str, handlers: Mapping[str, Handle], *, session_timeout: float
    ) -> None:
        self._client = client
        self._group = group
        self._handlers = handlers
        self._session_timeout = session_timeout
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._done: dict[TopicPartition, int] = {}
        #: Of each partition that has records in hand the offset of the first that is not done.
        self._next: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Read until this is cancelled; what was handled by then is committed."""
        while True:
            try:
                await self._read()
            except Exception as error:
                log.warning("reading the topics of group %s again: %r", self._group, error)
            await asyncio.sleep(_PAUSE)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            max_poll_interval_ms=_NO_POLL_LIMIT_MS,
            session_timeout_ms=int(self._session_timeout * 1000),
            heartbeat_interval_ms=int(self._session_timeout * 1000 / 4),
        )
        consumer.subscribe(list(self._handlers), listener=_Listener(self, consumer))
        try:
            await consumer.start()
            await self._read_from(consumer)
        finally:
            await self._give_up(consumer, list(self._tasks))
            with contextlib.suppress(Exception):
                await consumer.stop()

    async def _read_from(self, consumer: AIOKafkaConsumer) -> None:
        with CONSUMER_LAG.read_from(lambda: self._lag(consumer)):
            while True:
                free = consumer.assignment() - self._tasks.keys()
                if not free:
                    await asyncio.sleep(_POLL)
                    continue
                found = await consumer.getmany(*free, timeout_ms=int(_POLL * 1000), max_records=_BATCH)
                for partition, records in found.items():
                    self._begin(consumer, partition, records)

    def _lag(self, consumer: AIOKafkaConsumer) -> list[Reading]:
        """Return of each partition how many messages are not done, where that is known; asks nobody."""
        return [
            ((one.topic, str(one.partition)), behind)
            for one in consumer.assignment()
            if (behind := positions.lag(consumer, one, self._next.get(one))) is not None
        ]

    def _begin(self, consumer: AIOKafkaConsumer, partition: TopicPartition, records: list[Any]) -> None:
        task = asyncio.create_task(self._work(consumer, partition, records))
        self._tasks[partition], self._next[partition] = task, records[0].offset
        task.add_done_callback(lambda _: self._forget(partition))

    def _forget(self, partition: TopicPartition) -> None:
        self._tasks.pop(partition, None)
        self._next.pop(partition, None)

    async def _work(self, consumer: AIOKafkaConsumer, partition: TopicPartition, records: list[Any]) -> None:
        for record in records:
            handling = asyncio.create_task(self._handle(Event.of(record)))
            try:
                finished, _ = await asyncio.wait({handling}, timeout=_POLL)
                if not finished:
                    # It waits: what was done before it is not to be done again, should this process end meanwhile.
                    await self._commit(consumer, [partition])
                    await asyncio.wait({handling})
            finally:
                await end_tasks([handling])
            self._done[partition] = self._next[partition] = record.offset + 1
        await self._commit(consumer, [partition])

    async def _handle(self, event: Event) -> None:
        while True:
            try:
                await self._handlers[event.message.topic](event)
            except Exception:
                # Not to happen. To go on would lose the record; other partitions do not notice.
                log.exception("%s:%d:%d", event.message.topic, event.message.partition, event.message.offset)
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def _commit(self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
        offsets = {one: self._done.pop(one) for one in partitions if one in self._done}
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            # Whoever reads them next handles some of them once more.
            log.info("offsets of %s not committed: %r", ", ".join(map(str, offsets)), error)

    async def _give_up(self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
        """Let go of partitions: what waits is left where it is."""
        partitions = list(partitions)
        tasks = [task for one in partitions if (task := self._tasks.get(one)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._commit(consumer, partitions)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, reader: TopicReader, consumer: AIOKafkaConsumer) -> None:
        self._reader = reader
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Leave what waits to whoever is next."""
        await self._reader._give_up(self._consumer, revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing is to be done: reading begins at the committed offsets."""
