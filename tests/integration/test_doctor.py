"""The doctor on real services, each with something wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pymongo
import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient

from app.adapters.mongo import Store
from app.adapters.search import EventIndex, connect
from app.adapters.storage import LocalStorage
from app.cli.doctor import look_at_services
from app.domain.diagnosis.findings import Finding, Grade
from app.kafka.admin import create_topics
from app.kafka.topics import topic_names
from app.settings import Settings
from stack import Stack
from tests.support.bench import Bench
from tests.support.indexing import index_settings
from tests.support.secure_kafka import SecureKafka

#: Nobody listens there.
NOWHERE = "127.0.0.1:1"


async def diagnose(settings: Settings) -> dict[str, Finding]:
    report = await look_at_services(settings)
    found = dict(report)
    assert len(found) == len(report)
    return found


def problems(found: dict[str, Finding]) -> dict[str, Finding]:
    return {name: finding for name, finding in found.items() if finding.grade is Grade.PROBLEM}


@pytest.fixture
async def installed(settings: Settings, bench: Bench) -> AsyncIterator[Settings]:
    """An installation as a worker leaves it behind."""
    names = topic_names(settings.kafka_topic, len(settings.retry_delays))
    await create_topics(settings.brokers, names, partitions=settings.topic_partitions, replication=1)
    yield settings


async def test_installation_has_no_problem(installed: Settings) -> None:
    """What the services of tests lack for production is a warning, and nothing is left behind."""
    found = await diagnose(installed)
    warned = {name for name, finding in found.items() if finding.grade is Grade.WARNING}
    assert problems(found) == {}
    assert {"Kafka replication", "MongoDB replica set"} <= warned
    assert {"MongoDB protocol", "MongoDB indexes", "MongoDB clock", "Redis eviction", "Redis clock"}.isdisjoint(warned)
    assert {"storage permissions", "storage clock", "Kafka topics"}.isdisjoint(warned)
    assert await LocalStorage.from_uri(installed.storage_uri).objects(below="doctor/") == []


async def test_new_installation_is_no_problem(settings: Settings) -> None:
    """Before the first worker there are no topics, no indexes and no storage, and the doctor makes none."""
    found = await diagnose(settings)
    assert problems(found) == {}
    for name in ("storage", "Kafka topics", "MongoDB indexes"):
        assert found[name].grade is Grade.WARNING
        assert "start a worker" in found[name].advice
    assert not Path(urlsplit(settings.storage_uri).path).exists()
    assert (await diagnose(settings))["Kafka topics"].text == "no topics yet"


@contextmanager
def configured(services: Stack, **values: str) -> Iterator[None]:
    """Redis with other settings for a while."""
    with redis.Redis.from_url(services["redis"].uri) as client:
        names = [name.replace("_", "-") for name in values]
        before = {name: client.config_get(name)[name] for name in names}
        for name, value in zip(names, values.values(), strict=True):
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


@pytest.mark.parametrize(
    ("values", "name", "grade"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, "Redis eviction", Grade.WARNING),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "1gb"}, "Redis eviction", Grade.PROBLEM),
        ({"appendonly": "no"}, "Redis persistence", Grade.WARNING),
        ({"maxmemory": "1"}, "Redis permissions", Grade.PROBLEM),
    ],
    ids=["may evict", "evicts", "forgets", "full"],
)
async def test_unfit_redis_is_told(
    installed: Settings, services: Stack, values: dict[str, str], name: str, grade: Grade
) -> None:
    with configured(services, **values):
        found = await diagnose(installed)
    assert found[name].grade is grade
    assert found[name].advice
    assert set(problems(found)) <= {name}


async def test_missing_topic_is_told(installed: Settings) -> None:
    doomed = f"{installed.kafka_topic}.results"
    admin = AIOKafkaAdminClient(bootstrap_servers=installed.brokers)
    await admin.start()
    try:
        await admin.delete_topics([doomed])
        # A broker tells of a topic for some time after it was asked to delete it.
        async with asyncio.timeout(30):
            while doomed in await admin.list_topics():
                await asyncio.sleep(0.02)
    finally:
        await admin.close()
    found = await diagnose(installed)
    assert set(problems(found)) == {"Kafka topics"}
    assert f"missing: {doomed}" in found["Kafka topics"].text


async def test_other_partitions_are_told(installed: Settings) -> None:
    found = await diagnose(installed.model_copy(update={"topic_partitions": 7}))
    assert set(problems(found)) == {"Kafka topics"}
    assert "TOPIC_PARTITIONS is 7" in found["Kafka topics"].text


async def test_every_index_is_looked_for(installed: Settings) -> None:
    """Those that a worker makes are those that the doctor misses where nothing has been made."""
    store = Store(installed.mongo_db_uri.get_secret_value())
    try:
        with pymongo.MongoClient(installed.mongo_db_uri.get_secret_value()) as client:
            database = client.get_default_database()
            collections = database.list_collection_names()
            made = {(name, index) for name in collections for index in database[name].index_information()}
            client.drop_database(database.name)
        missing = await store.inspection.missing_indexes()
    finally:
        await store.close()
    assert {(name, index) for name, indexes in missing.items() for index in indexes} == {
        (name, index) for name, index in made if index != "_id_"
    }


async def test_missing_index_is_told(installed: Settings) -> None:
    with pymongo.MongoClient(installed.mongo_db_uri.get_secret_value()) as client:
        client.get_default_database()["dead_letters"].drop_index("lookAt_1")
    found = await diagnose(installed)
    assert found["MongoDB indexes"].text == "without dead_letters.lookAt_1"


async def test_unwritable_storage_is_told(installed: Settings) -> None:
    """Where nothing can be stored; a directory without permissions would not stop root."""
    Path(urlsplit(installed.storage_uri).path, "doctor").touch()
    found = await diagnose(installed)
    assert {"storage permissions", "storage clock"} == set(problems(found))
    assert "PutObject" in found["storage permissions"].advice


async def test_other_storage_is_told(installed: Settings) -> None:
    found = await diagnose(installed.model_copy(update={"storage_uri": f"{installed.storage_uri}-elsewhere"}))
    assert set(problems(found)) == {"storage"}
    assert "Is it mounted?" in found["storage"].text


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Redis", {"redis_uri": f"redis://{NOWHERE}"}),
        ("Kafka", {"kafka_broker": f"kafka://{NOWHERE}"}),
    ],
)
async def test_absent_service_is_one_line(
    installed: Settings, monkeypatch: pytest.MonkeyPatch, name: str, change: dict[str, str]
) -> None:
    """The one line is a problem that names the setting; everything else is looked at as ever."""
    for setting, value in change.items():
        monkeypatch.setenv(setting.upper(), value)
    found = await diagnose(Settings(_env_file=None))
    assert set(problems(found)) == {name}
    assert [line for line in found if line.startswith(name)] == [name]
    assert f"{name.upper()}" in found[name].advice.upper()


async def test_absent_database_takes_storage_along(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which storage is the right one the database alone knows."""
    monkeypatch.setenv("MONGO_DB_URI", f"mongodb://{NOWHERE}/bulk")
    found = await diagnose(Settings(_env_file=None))
    assert set(problems(found)) == {"MongoDB", "storage"}
    assert "MONGO_DB_URI" in found["MongoDB"].advice


async def test_refusing_broker_is_told(
    installed: Settings, secure_kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a broker does not let us in is said in the words of the settings."""
    monkeypatch.setenv("KAFKA_BROKER", secure_kafka.broker("SASL_PLAINTEXT"))
    found = await diagnose(Settings(_env_file=None))
    assert set(problems(found)) == {"Kafka"}
    assert "KAFKA_SECURITY_PROTOCOL must be" in found["Kafka"].text


async def test_elasticsearch_is_looked_at(
    installed: Settings, elasticsearch: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the settings name one: what it is, and what keeps events out of it."""
    for name, value in index_settings(elasticsearch).items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    found = await diagnose(settings)
    assert problems(found) == {}
    assert found["Elasticsearch version"].text.startswith("version 8.")
    assert found["Elasticsearch template"].grade is Grade.WARNING
    client = connect(settings)
    await EventIndex(client, settings.elasticsearch_prefix, None).install()
    name = f"{settings.elasticsearch_prefix}-events-2026.11"
    await client.indices.create(index=name, settings={"index.blocks.write": True})
    found = await diagnose(settings)
    assert found["Elasticsearch template"].grade is Grade.OK
    assert problems(found) == {"Elasticsearch writes": found["Elasticsearch writes"]}
    assert name in found["Elasticsearch writes"].text
    await client.close()
    monkeypatch.setenv("ELASTICSEARCH_URI", f"http://{NOWHERE}")
    assert set(problems(await diagnose(Settings(_env_file=None)))) == {"Elasticsearch"}
