"""The broker before Faust meets it: wait until it answers, and create the topics.

Faust leaves out a topic that its consumer does not see when it starts, until the metadata is next refreshed,
minutes later; and a topic that Faust has just created is often not seen yet. So topics are made first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

log = logging.getLogger(__name__)


class WrongPartitions(RuntimeError):
    """A topic exists with another number of partitions than the settings say."""


async def create_topics(
    brokers: Sequence[str],
    names: Sequence[str],
    *,
    partitions: int,
    replication: int,
    security: Mapping[str, Any] | None = None,
) -> None:
    """Create those of the topics that are missing, and return when the broker shows all of them.

    ``security`` is what :func:`app.kafka_security.client_options` returns.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer or refuses.
        WrongPartitions: a topic has another number of partitions.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(brokers), request_timeout_ms=10_000, **(security or {}))
    await admin.start()
    try:
        present = await _partitions(admin, names)
        missing = [name for name in names if name not in present]
        if missing:
            log.info("creating topics %s with %d partitions", ", ".join(missing), partitions)
            await _create(admin, missing, partitions, replication)
        while len(present := await _partitions(admin, names)) < len(names):
            await asyncio.sleep(0.1)
        for name, count in present.items():
            if count != partitions:
                raise WrongPartitions(f"topic {name} has {count} partitions, TOPIC_PARTITIONS says {partitions}")
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, names: Sequence[str], partitions: int, replication: int) -> None:
    reply = await admin.create_topics([NewTopic(name, partitions, replication) for name in names])
    for entry in reply.topic_errors:
        error = for_code(entry[1])
        if entry[1] and error is not TopicAlreadyExistsError:
            raise error(f"topic {entry[0]}")


async def _partitions(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of those of the topics that exist and have leaders for all of them."""
    found: dict[str, int] = {}
    known = set(await admin.list_topics())
    wanted = [name for name in names if name in known]
    for topic in await admin.describe_topics(wanted) if wanted else []:
        partitions = topic["partitions"]
        if not topic["error_code"] and partitions and all(p["leader"] >= 0 for p in partitions):
            found[topic["topic"]] = len(partitions)
    return found
