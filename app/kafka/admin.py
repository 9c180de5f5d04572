"""The broker before Faust meets it: wait until it answers, and create the topics.

Faust leaves out a topic that its consumer does not see when it starts, until the metadata is next refreshed,
minutes later; and a topic that Faust has just created is often not seen yet. So topics are made first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

log = logging.getLogger(__name__)

#: Between two looks at the topics, seconds.
_PAUSE = 0.1


class WrongPartitions(RuntimeError):
    """A topic exists with another number of partitions than the settings say."""


class PartitionsWithoutLeader(RuntimeError):
    """Nobody can read or write some partitions: their brokers are away."""


async def create_topics(
    brokers: Sequence[str],
    names: Sequence[str],
    *,
    partitions: int,
    replication: int,
    security: Mapping[str, Any] | None = None,
    internal: Sequence[NewTopic] = (),
    timeout: float = 10.0,
) -> None:
    """Create those of the topics that are missing, and return when the broker shows all of them with their leaders.

    Args:
        brokers: some of them, as host:port.
        names: the topics.
        partitions: of each of them.
        replication: replicas of each partition.
        security: what :func:`app.kafka.security.client_options` returns.
        internal: further topics, which Faust needs for itself.
        timeout: seconds in which leaders may be elected.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer or refuses.
        WrongPartitions: a topic has another number of partitions.
        PartitionsWithoutLeader: a topic has partitions that have no leader, or is not shown at all.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(brokers), request_timeout_ms=10_000, **(security or {}))
    await admin.start()
    try:
        known = set(await admin.list_topics())
        wanted = [*(NewTopic(name, partitions, replication) for name in names), *internal]
        missing = [topic for topic in wanted if topic.name not in known]
        if missing:
            named = ", ".join(f"{topic.name} ({topic.num_partitions})" for topic in missing)
            log.info("creating topics, with so many partitions: %s", named)
            await _create(admin, missing)
        expected = [topic.name for topic in wanted]
        end = time.monotonic() + timeout
        while unready := _unready(expected, described := await admin.describe_topics(expected)):
            if time.monotonic() >= end:
                raise PartitionsWithoutLeader("; ".join(unready))
            await asyncio.sleep(_PAUSE)
        for topic in described:
            if topic["topic"] in names and (count := len(topic["partitions"])) != partitions:
                raise WrongPartitions(
                    f"topic {topic['topic']} has {count} partitions, TOPIC_PARTITIONS says {partitions}"
                )
    finally:
        await admin.close()


def _unready(names: Sequence[str], described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each topic that cannot be used what it lacks."""
    found = {topic["topic"]: topic["partitions"] for topic in described}
    lacking = []
    for name in names:
        without = sorted(one["partition"] for one in found.get(name, ()) if one["leader"] < 0)
        if not found.get(name):
            lacking.append(f"topic {name} is not there yet")
        elif without:
            lacking.append(f"no leader for {name} partition {', '.join(map(str, without))}")
    return lacking


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> None:
    reply = await admin.create_topics(list(topics))
    for entry in reply.topic_errors:
        error = for_code(entry[1])
        if entry[1] and error is not TopicAlreadyExistsError:
            raise error(f"topic {entry[0]}")
