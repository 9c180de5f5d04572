"""All that an installation keeps in its database, its storage and its topics, taken out and put into another one."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import pymongo
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from bson import json_util

from app.kafka.admin import create_topics
from app.kafka.topics import topic_names
from tests.support.namespaces import storage_of

Document = dict[str, Any]
#: Types of numbers, times and bytes stay what they are.
_EXACT = json_util.CANONICAL_JSON_OPTIONS.with_options(tz_aware=True)


@dataclass(frozen=True)
class Recorded:
    """A message of a topic, which is named by what stands behind the base of its name."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Installation:
    """What an installation holds, wherever it is.

    Attributes:
        base: The name of its chunk topic.
        documents: Those of each collection.
        objects: Those of the storage, by their path.
        messages: Those of the topics, in their order.
        claims: The keys of Redis, each as the arguments of the command that sets it.
    """

    base: str
    documents: dict[str, list[Document]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    messages: list[Recorded] = field(default_factory=list)
    claims: list[tuple[bytes, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, environment: dict[str, str], *, passing: bool = True) -> Self:
        """Take out all that is there; the database first, so that every action has its file.

        ``passing``: also what Kafka and Redis have.
        """
        found = cls(environment["KAFKA_TOPIC"])
        with pymongo.MongoClient[Document](environment["MONGO_DB_URI"], tz_aware=True) as client:
            database = client.get_default_database()
            for name in sorted(database.list_collection_names()):
                if documents := sorted(database[name].find(), key=lambda document: str(document["_id"])):
                    found.documents[name] = documents
        storage = storage_of(environment)
        for file in sorted(storage.rglob("*")):
            if file.is_file() and ".parts" not in file.parts:
                found.objects[str(file.relative_to(storage))] = file.read_bytes()
        if passing:
            found.messages = asyncio.run(_read(environment))
            with redis.Redis.from_url(environment["REDIS_URI"]) as client:
                found.claims = [_setting(client, key) for key in sorted(client.keys("dedupe:*"))]
        return found

    def put_into(self, environment: dict[str, str]) -> None:
        """Put all of it into another place, in which nothing is yet; topics have the names of that place."""
        moved = self.moved_to(environment["KAFKA_TOPIC"])
        with pymongo.MongoClient[Document](environment["MONGO_DB_URI"]) as client:
            for name, documents in moved.documents.items():
                client.get_default_database()[name].insert_many(documents)
        storage = storage_of(environment)
        shutil.rmtree(storage, ignore_errors=True)
        for path, content in moved.objects.items():
            (storage / path).parent.mkdir(parents=True, exist_ok=True)
            (storage / path).write_bytes(content)
        with redis.Redis.from_url(environment["REDIS_URI"]) as cache:
            for command in moved.claims:
                cache.execute_command(*command)
        if moved.messages:
            asyncio.run(_send(environment, moved.messages))

    def moved_to(self, base: str) -> Installation:
        """Return it with another name of the topics."""
        return Installation.from_text(self.to_text().replace(f'"{self.base}', f'"{base}'))

    def to_text(self) -> str:
        """Return it as JSON, a line for each document, object and message."""
        told = [{"base": self.base}]
        told += [{"collection": name, "document": it} for name, found in self.documents.items() for it in found]
        told += [{"object": path, "content": _text(content)} for path, content in self.objects.items()]
        told += [
            {
                "topic": self.base + message.topic,
                "key": None if message.key is None else _text(message.key),
                "value": _text(message.value),
                "headers": [[name, _text(value)] for name, value in message.headers],
            }
            for message in self.messages
        ]
        told += [{"claims": [b64encode(part).decode() for part in command]} for command in self.claims]
        return "".join(f"{json_util.dumps(line, json_options=_EXACT, ensure_ascii=False)}\n" for line in told)

    @classmethod
    def from_text(cls, text: str) -> Installation:
        """Read it from that JSON."""
        first, *lines = (json_util.loads(line, json_options=_EXACT) for line in text.splitlines())
        read = cls(first["base"])
        for line in lines:
            if "collection" in line:
                read.documents.setdefault(line["collection"], []).append(line["document"])
            elif "object" in line:
                read.objects[line["object"]] = _bytes(line["content"])
            elif "claims" in line:
                read.claims.append(tuple(b64decode(part) for part in line["claims"]))
            else:
                key, headers = line["key"], tuple((name, _bytes(value)) for name, value in line["headers"])
                topic = line["topic"].removeprefix(read.base)
                read.messages.append(Recorded(topic, key and _bytes(key), _bytes(line["value"]), headers))
        return read

    def sent_to(self, topic: str) -> Iterable[Recorded]:
        """The messages of one topic."""
        return (message for message in self.messages if message.topic == topic)


def _setting(client: redis.Redis, key: bytes) -> tuple[bytes, ...]:
    """The command that sets a key to what it is."""
    found: Any
    match client.type(key):
        case b"string":
            return b"SET", key, cast(bytes, client.get(key))
        case b"hash":
            found = client.hgetall(key)
            return b"HSET", key, *itertools.chain.from_iterable(found.items())
        case b"zset":
            found = client.zrange(key, 0, -1, withscores=True)
            return b"ZADD", key, *itertools.chain.from_iterable((str(score).encode(), name) for name, score in found)
        case kind:
            raise TypeError(f"{key!r} is {kind!r}")


def _text(content: bytes) -> Any:
    """Text where it is text, so that it can be read, and names in it change; else base 64."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}
    return text if "\r" not in text and "\0" not in text else {"base64": b64encode(content).decode()}


def _bytes(told: Any) -> bytes:
    return b64decode(told["base64"]) if isinstance(told, dict) else str(told).encode()


def _brokers(environment: dict[str, str]) -> str:
    return environment["KAFKA_BROKER"].partition("://")[2]


async def _read(environment: dict[str, str]) -> list[Recorded]:
    base = environment["KAFKA_TOPIC"]
    consumer = AIOKafkaConsumer(bootstrap_servers=_brokers(environment))
    await consumer.start()
    found: list[Recorded] = []
    try:
        for topic in sorted(name for name in await consumer.topics() if name in topic_names(base, 3)):
            places = [TopicPartition(topic, number) for number in range(int(environment["TOPIC_PARTITIONS"]))]
            ends = await consumer.end_offsets(places)
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            for place in places:
                while await consumer.position(place) < ends[place]:
                    for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                        value, headers = record.value or b"", tuple(record.headers)
                        found.append(Recorded(topic.removeprefix(base), record.key, value, headers))
    finally:
        await consumer.stop()
    return found


async def _send(environment: dict[str, str], messages: Iterable[Recorded]) -> None:
    base = environment["KAFKA_TOPIC"]
    names = topic_names(base, 3)
    await create_topics([_brokers(environment)], names, partitions=int(environment["TOPIC_PARTITIONS"]), replication=1)
    producer = AIOKafkaProducer(bootstrap_servers=_brokers(environment))
    await producer.start()
    try:
        for message in messages:
            await producer.send_and_wait(
                base + message.topic, message.value, message.key, headers=list(message.headers)
            )
    finally:
        await producer.stop()


def load(directory: Path) -> tuple[Installation, Document]:
    """Read what a release has left, and what must become of it."""
    text = (directory / "installation.jsonl").read_text(encoding="utf-8")
    return Installation.from_text(text), json.loads((directory / "expected.json").read_text(encoding="utf-8"))
