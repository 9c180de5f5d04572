"""What is seen of a Kafka cluster, for the doctor; nothing in it is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)

from app.domain.diagnosis.kafka import KafkaFacts, TopicFacts

_AUTO_CREATE = "auto.create.topics.enable"


async def look_at_cluster(
    brokers: Sequence[str], security: Mapping[str, Any], topics: Collection[str], groups: Collection[str]
) -> KafkaFacts:
    """Return what is seen of some topics and consumer groups, and of the brokers.

    Raises:
        aiokafka.errors.KafkaError: the brokers do not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=list(brokers), request_timeout_ms=5_000, **security)
    await admin.start()
    try:
        nodes = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
        auto_create = await _auto_create(admin, nodes)
        # The list leaves out what this login may not see. But where brokers make the topics that somebody names, only
        # those that are there can be asked for.
        asked = set(topics) if auto_create is False else set(await admin.list_topics()) & set(topics)
        described = await admin.describe_topics(sorted(asked)) if asked else []
        forbidden = [one["topic"] for one in described if for_code(one["error_code"]) is TopicAuthorizationFailedError]
        return KafkaFacts(
            brokers=len(nodes),
            topics={one["topic"]: _facts(one["partitions"]) for one in described if one["partitions"]},
            forbidden=[*forbidden, *[name for name in groups if await _is_forbidden(admin, name)]],
            auto_create=auto_create,
        )
    finally:
        await admin.close()


def _facts(partitions: Sequence[Mapping[str, Any]]) -> TopicFacts:
    return TopicFacts(
        partitions=len(partitions),
        leaderless=sum(one["leader"] < 0 for one in partitions),
        replicas=min(len(one["replicas"]) for one in partitions),
        in_sync=min(len(one["isr"]) for one in partitions),
    )


async def _is_forbidden(admin: AIOKafkaAdminClient, group: str) -> bool:
    try:
        await admin.find_coordinator(group)
    except GroupAuthorizationFailedError:
        return True
    except KafkaError:
        # Nobody has made the group yet, or its coordinator is being elected.
        return False
    return False


async def _auto_create(admin: AIOKafkaAdminClient, nodes: Sequence[int]) -> bool | None:
    """Return whether brokers make topics by themselves; None: they do not tell."""
    if not nodes:
        return None
    resource = ConfigResource(ConfigResourceType.BROKER, str(nodes[0]), {_AUTO_CREATE: ""})
    try:
        answers = await admin.describe_configs([resource])
    except KafkaError:
        return None
    entries = {entry[0]: entry[1] for answer in answers for found in answer.resources for entry in found[4] or ()}
    return str(entries[_AUTO_CREATE]).lower() == "true" if _AUTO_CREATE in entries else None
