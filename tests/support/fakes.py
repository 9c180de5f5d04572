"""Stand-ins for what needs a broker: channels that remember what was sent, and events that came from nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.adapters.storage.identity import StorageIdentity
from app.domain.progress import Progress
from app.kafka.backlog import Offsets
from app.kafka.messages import ChunkResult, Message
from app.kafka.topic_reader import Event, Record


@dataclass(frozen=True)
class Sent:
    """A message as a channel was given it."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


@dataclass(eq=False)
class RecordingChannel:
    """A topic that takes everything, after it has refused as often as ``faults`` says."""

    name: str
    faults: list[Exception] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    @property
    def topic(self) -> str:
        return f"topic {self.name}"

    @property
    def results(self) -> list[ChunkResult]:
        return [ChunkResult.decode(message.value) for message in self.sent]

    async def send(self, message: Message, headers: Mapping[str, bytes] | None = None, **_: Any) -> None:
        await self.send_raw(message.key.encode(), message.encode(), headers)

    async def send_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            await self.send(message)

    async def send_raw(
        self, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes] | None = None, **_: Any
    ) -> None:
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        self.sent.append(Sent(key, value, dict(headers or {})))


class RecordingTopics:
    """All topics of the platform, as :class:`app.kafka.topics.Topics` has them."""

    def __init__(self, base: str = "bulk") -> None:
        self.chunks = RecordingChannel(base)
        self.feed = RecordingChannel(f"{base}.feed")
        self.results = RecordingChannel(f"{base}.results")
        self.retries = tuple(RecordingChannel(f"{base}.retry.{tier}") for tier in (1, 2, 3))
        self.dead = RecordingChannel(f"{base}.DLQ")
        self.poison = RecordingChannel(f"{base}.POISON")
        #: How far the chunk topic has been read: nothing is left.
        self.offsets = Offsets((), ())
        self.all = (self.chunks, self.feed, self.results, *self.retries, self.dead, self.poison)

    async def chunk_offsets(self) -> Offsets:
        return self.offsets

    def named(self, name: str) -> RecordingChannel | None:
        return next((channel for channel in self.all if channel.name == name), None)

    @property
    def taken(self) -> dict[str, list[Sent]]:
        """What was sent, by topic, without the topics that got nothing."""
        return {channel.name: channel.sent for channel in self.all if channel.sent}


def event(
    value: bytes | None = b"value",
    *,
    topic: str = "bulk",
    partition: int = 3,
    offset: int = 14,
    key: bytes | None = b"key",
    headers: Mapping[str, bytes] | Sequence[tuple[str, bytes]] | None = None,
) -> Event:
    return Event(Record(topic, partition, offset, key, value, headers, 1.5))


def read_again(sent: Sent, *, topic: str, offset: int = 99) -> Event:
    """The event that a message sent to a topic becomes there."""
    return event(sent.value, topic=topic, partition=1, offset=offset, key=sent.key, headers=list(sent.headers.items()))


class MemoryProgress:
    """The progress of actions, as :class:`tables.progress.ProgressTable` keeps it, without Kafka."""

    def __init__(self) -> None:
        self.entries: dict[str, Progress] = {}

    def get(self, action_id: str) -> Progress | None:
        return self.entries.get(action_id)

    def set(self, action_id: str, progress: Progress) -> None:
        self.entries[action_id] = progress

    def drop(self, action_id: str) -> None:
        self.entries.pop(action_id, None)


class MemoryRegister:
    """What a database knows of its storage."""

    def __init__(self) -> None:
        self.identity: StorageIdentity | None = None
        #: The keys of the objects that its actions need.
        self.keys: list[str] = []

    async def recorded(self) -> StorageIdentity | None:
        return self.identity

    async def propose(self, storage_id: str) -> StorageIdentity:
        self.identity = self.identity or StorageIdentity(storage_id, marked=False)
        return self.identity

    async def confirm(self, storage_id: str) -> None:
        self.identity = StorageIdentity(storage_id, marked=True)

    async def replace(self, storage_id: str) -> None:
        self.identity = StorageIdentity(storage_id, marked=True)

    async def known_keys(self) -> list[str]:
        return self.keys

    async def knows_any(self, keys: Sequence[str]) -> bool:
        return bool(set(keys) & set(self.keys))


@dataclass
class FakeDependencies:
    """What a platform depends on: everything answers but what is named."""

    away: list[str] = field(default_factory=list)
    time: float = 0.0

    def now(self) -> float:
        self.time += 0.001
        return self.time

    async def unavailable(self, *, since: float = 0.0) -> list[str]:
        return self.away

    async def all_answered(self, since: float) -> bool:
        return not self.away
