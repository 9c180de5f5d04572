"""What is looked at of Kafka."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.domain.diagnosis import kafka
from app.domain.diagnosis.findings import Finding, ok
from app.domain.diagnosis.kafka import KafkaFacts
from app.kafka.broker_access import check_access
from app.kafka.inspection import look_at_cluster
from app.kafka.security import client_options
from app.kafka.topics import group_names
from app.services.doctor.check import Check
from app.settings import Settings

_REACH = "start Kafka, or correct KAFKA_BROKER or what is said"
_MAY_LOOK = "allow this login to describe the cluster"


def broker_checks(settings: Settings, topics: Sequence[str]) -> list[Check]:
    """Return the checks of a cluster; ``topics``: the names of the platform's."""

    async def connects() -> Finding:
        began = time.monotonic()
        await check_access(settings.brokers, client_options(settings))
        return ok(f"answers within {(time.monotonic() - began) * 1000:.0f} ms")

    async def facts() -> KafkaFacts:
        groups = group_names(settings.kafka_topic)
        return await look_at_cluster(settings.brokers, client_options(settings), topics, groups)

    async def access() -> Finding:
        return kafka.judge_access(await facts(), settings.kafka_topic)

    async def there() -> Finding:
        return kafka.judge_topics(await facts(), topics, settings.topic_partitions)

    async def replication() -> Finding:
        return kafka.judge_replication(await facts(), topics)

    async def auto_create() -> Finding:
        return kafka.judge_auto_create(await facts())

    return [
        Check("Kafka", connects, _REACH),
        Check("Kafka access", access, _MAY_LOOK),
        Check("Kafka topics", there, _MAY_LOOK),
        Check("Kafka replication", replication, _MAY_LOOK),
        Check("Kafka auto-creation", auto_create, _MAY_LOOK),
    ]
