"""The Kafka topics: their names, how they are declared, and the one way a message is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from faust.exceptions import ProducerSendError

from app.domain.faults import Dependency, PassingFault
from app.kafka.backlog import Offsets, offsets_of
from app.kafka.messages import Message
from app.kafka.security import client_options
from app.observability.tracing import trace_headers
from app.settings import Settings

#: Longest wait for a broker's acknowledgement, seconds.
SEND_TIMEOUT = 15.0


_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class TooLarge(ValueError):
    """The message is larger than the producer or the broker takes: sending it again cannot help."""


class Channel:
    """One topic of raw bytes: decoding is the guard's work, so that nothing undecodable reaches Faust."""

    def __init__(self, app: Any, name: str, settings: Settings) -> None:
        self.name = name
        self.topic = app.topic(
            name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=settings.topic_partitions,
            replicas=settings.topic_replication,
            # Created by the worker: Faust ignores a topic that is missing when it starts.
            internal=True,
        )

    async def send(
        self, message: Message, headers: Mapping[str, bytes] | None = None, *, timeout: float = SEND_TIMEOUT
    ) -> None:
        """Send a message and wait until the broker has it.

        Raises:
            TooLarge: it never will.
            TimeoutError, PassingFault: the broker does not have it, or has it and could not say so.
        """
        await self.send_raw(message.key.encode(), message.encode(), headers, timeout=timeout)

    async def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages together and wait until the broker has them all; raises as :meth:`send`."""
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(self.send(message))

    async def send_raw(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes] | None = None,
        *,
        timeout: float = SEND_TIMEOUT,
    ) -> None:
        """Send bytes as they are; raises as :meth:`send`."""
        try:
            async with asyncio.timeout(timeout):
                # The first await queues, the second waits for the acknowledgement.
                await (
                    await self.topic.send(key=key, value=value, headers={**(headers or {}), **trace_headers()} or None)
                )
        except (KafkaError, ProducerSendError) as error:
            # Faust wraps what the client has refused.
            if isinstance(error, _TOO_LARGE) or isinstance(error.__cause__, _TOO_LARGE):
                raise TooLarge(f"a message of {len(value or b'')} bytes") from None
            raise PassingFault(str(error), Dependency.BROKER, away=True) from error


def topic_names(base: str, retries: int) -> list[str]:
    """Return the names of all topics: of chunks, feeds and results, so many of retries, dead letters and poison."""
    tiers = (f"{base}.retry.{tier}" for tier in range(1, retries + 1))
    return [base, f"{base}.feed", f"{base}.results", *tiers, f"{base}.DLQ", f"{base}.POISON"]


def group_names(base: str) -> list[str]:
    """Return the names of the consumer groups: Faust's, and that of the topics in which messages wait."""
    return [base, waiting_group(base)]


def waiting_group(base: str) -> str:
    """Return the name of the consumer group of the topics in which messages wait."""
    return f"{base}-waiting"


class Topics:
    """All topics of the platform."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app, self._settings = app, settings
        names = topic_names(settings.kafka_topic, len(settings.retry_delays))
        self.all = tuple(Channel(app, name, settings) for name in names)
        self.chunks, self.feed, self.results, *retries, self.dead, self.poison = self.all
        self.retries = tuple(retries)
        self._named = {channel.name: channel for channel in self.all}

    @property
    def of_agents(self) -> tuple[Channel, ...]:
        """The topics whose messages agents handle as they come."""
        return self.feed, self.chunks, self.results

    @property
    def of_faust(self) -> list[NewTopic]:
        """The topics of Faust's own: the changelogs of the tables, and the one whose owner is the leader.

        Faust would create them itself, and often not see them yet when it gives out the partitions: its worker would
        then have a table without a changelog, and no leader, until partitions are given out anew.
        """
        partitions, replication = self._settings.topic_partitions, self._settings.topic_replication
        tables = [table.changelog_topic.get_topic_name() for table in self._app.tables.values()]
        return [
            *(NewTopic(name, partitions, replication, topic_configs={"cleanup.policy": "compact"}) for name in tables),
            NewTopic(f"{self._app.conf.id}-__assignor-__leader", 1, replication),
        ]

    async def check(self) -> None:
        """Return when a broker answers.

        Raises:
            Exception: none does, or there is no producer yet.
        """
        # Fresh metadata from any broker; Faust offers nothing for it.
        producer = self._app.producer._ensure_producer()
        if not await producer.client.force_metadata_update():
            raise ConnectionError("no broker answers")

    async def chunk_offsets(self) -> Offsets:
        """Return how far the chunk topic has been read.

        Raises:
            PassingFault: the broker does not answer.
        """
        settings, security = self._settings, client_options(self._settings)
        return await offsets_of(
            settings.brokers, self.chunks.name, self._app.conf.id, security, settings.topic_partitions
        )

    def named(self, name: str) -> Channel | None:
        """Return the channel of a topic, if it is one of ours."""
        return self._named.get(name)
