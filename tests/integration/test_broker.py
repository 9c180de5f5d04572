"""The broker before Faust meets it: topics are there, all of them, with the partitions that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from app.domain.faults import PassingFault
from app.kafka.admin import WrongPartitions, create_topics
from app.kafka.backlog import Offsets, offsets_of
from app.settings import Settings
from stack.addresses import free_port


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def names(settings: Settings) -> list[str]:
    return [settings.kafka_topic, f"{settings.kafka_topic}.feed", f"{settings.kafka_topic}.retry.1"]


async def create(settings: Settings, names: list[str], partitions: int = 3) -> None:
    await create_topics(settings.brokers, names, partitions=partitions, replication=1)


async def partitions_of(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}


async def test_missing_topics_are_created(settings: Settings, names: list[str], admin: AIOKafkaAdminClient) -> None:
    """Missing topics are created with their partitions and leaders."""
    await create(settings, names)
    assert await partitions_of(admin, names) == dict.fromkeys(names, 3)
    described = await admin.describe_topics(names)
    assert all(partition["leader"] >= 0 for topic in described for partition in topic["partitions"])


async def test_internal_topics_keep_their_form(
    settings: Settings, names: list[str], admin: AIOKafkaAdminClient
) -> None:
    """Topics of Faust's own have the partitions and the policy that Faust would give them."""
    changelog = NewTopic(f"{settings.kafka_topic}-changelog", 2, 1, topic_configs={"cleanup.policy": "compact"})
    leader = NewTopic(f"{settings.kafka_topic}-leader", 1, 1)
    for _ in range(2):
        await create_topics(settings.brokers, names, partitions=3, replication=1, internal=[changelog, leader])
    assert await partitions_of(admin, [changelog.name, leader.name]) == {changelog.name: 2, leader.name: 1}
    [reply] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, changelog.name)])
    [(*_, entries)] = reply.resources
    assert {entry[0]: entry[1] for entry in entries}["cleanup.policy"] == "compact"


async def test_creating_again_changes_nothing(settings: Settings, names: list[str], admin: AIOKafkaAdminClient) -> None:
    await create(settings, names[:1])
    await create(settings, names)
    await create(settings, names)
    assert await partitions_of(admin, names) == dict.fromkeys(names, 3)


async def test_workers_may_start_at_once(settings: Settings, names: list[str], admin: AIOKafkaAdminClient) -> None:
    """Workers that start at once do not hinder each other."""
    await asyncio.gather(*(create(settings, names) for _ in range(4)))
    assert await partitions_of(admin, names) == dict.fromkeys(names, 3)


async def test_wrong_partitions_are_named(settings: Settings, names: list[str], admin: AIOKafkaAdminClient) -> None:
    """A topic with other partitions than the settings say is named with both numbers."""
    await create(settings, names[:1], partitions=2)
    with pytest.raises(WrongPartitions, match=rf"^topic {names[0]} has 2 partitions, TOPIC_PARTITIONS says 3$"):
        await create(settings, names)
    assert (await partitions_of(admin, names[:1]))[names[0]] == 2


async def test_refused_topic_says_why(settings: Settings, names: list[str]) -> None:
    """A broker that refuses a topic says why."""
    with pytest.raises(KafkaError):
        await create_topics(settings.brokers, names, partitions=1, replication=99)


async def test_absent_broker_is_an_error() -> None:
    """A broker that is away is an error, and not an endless wait."""
    with pytest.raises(KafkaError):
        await create_topics([f"127.0.0.1:{free_port()}"], ["t"], partitions=1, replication=1)


async def asked(settings: Settings, topic: str) -> Offsets:
    """How far a group has read a topic of two partitions; a broker that has just started may not know it yet."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await offsets_of(settings.brokers, topic, "group", {"security_protocol": "PLAINTEXT"}, 2)
            except PassingFault:
                await asyncio.sleep(0.2)


async def test_how_far_a_topic_is_read(settings: Settings) -> None:
    """By what a group has committed; where it has not read anything, everything is to be read."""
    topic = settings.kafka_topic
    await create(settings, [topic], partitions=2)
    assert await asked(settings, topic) == Offsets((0, 0), (0, 0))
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await producer.start()
    for partition in (0, 0, 1):
        await producer.send_and_wait(topic, b"x", partition=partition)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.brokers, group_id="group", enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.commit({TopicPartition(topic, 0): 1})
    await consumer.stop()
    found = await asked(settings, topic)
    assert found == Offsets((2, 1), (1, 0))
    assert found.have_reached((1, 0))
    assert not found.have_reached((2, 0))


async def test_a_silent_broker_passes(settings: Settings) -> None:
    with pytest.raises(PassingFault):
        await offsets_of([f"127.0.0.1:{free_port()}"], "t", "g", {"security_protocol": "PLAINTEXT"}, 1)
