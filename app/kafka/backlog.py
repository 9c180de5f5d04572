"""How far a topic has been read: what was sent to it by a time, and whether that has come since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.domain.faults import Dependency, PassingFault


@dataclass(frozen=True, slots=True)
class Offsets:
    """Of each partition of a topic, in order: where it ends, and up to where a group has read it."""

    ends: tuple[int, ...]
    read: tuple[int, ...]

    def have_reached(self, ends: Sequence[int]) -> bool:
        """Tell whether everything has been read that a topic had when it ended there."""
        return all(read >= end for read, end in zip(self.read, ends, strict=False))


async def offsets_of(
    brokers: Sequence[str], topic: str, group: str, security: Mapping[str, Any], partitions: int
) -> Offsets:
    """Ask a broker how far a group has read a topic.

    Raises:
        PassingFault: it does not answer.
    """
    client = {"bootstrap_servers": list(brokers), "request_timeout_ms": 10_000, **security}
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    admin, consumer = AIOKafkaAdminClient(**client), AIOKafkaConsumer(**client)
    try:
        await admin.start()
        await consumer.start()
        committed = await admin.list_consumer_group_offsets(group, partitions=places)
        ends = await consumer.end_offsets(places)
        beginnings = await consumer.beginning_offsets(places)
    except (KafkaError, OSError) as error:
        raise PassingFault(str(error), Dependency.BROKER, away=True) from error
    finally:
        await consumer.stop()
        await admin.close()
    # Of a partition of which nothing was read everything is to be read that is still there.
    read = [max(committed[place].offset if place in committed else -1, beginnings[place]) for place in places]
    return Offsets(tuple(ends[place] for place in places), tuple(read))
