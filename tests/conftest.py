"""Fixtures: real services for the whole run, and a fresh namespace in them for each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from app.settings import Settings
from stack import ELASTICSEARCH, S3, Options, Stack
from stack.clients import NEWMAN
from tests.support.installed import provided
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.secure_kafka import SecureKafka
from tests.support.workers import Worker

pytest_plugins = ["tests.support.figures", "tests.support.scheduler"]

# Hundreds of processes import the same modules. These are compiled once, whatever the environment says: that is a fifth
# of the time in which a worker starts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

#: The marker of a test, by its folder.
TIERS = {
    "unit": "unit",
    "integration": "integration",
    "e2e": "e2e",
    "security": "e2e",
    "browser": "browser",
    "faults": "faults",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier."""
    for item in items:
        item.add_marker(TIERS[item.path.relative_to(ROOT / "tests").parts[0]])


# How long an example takes says nothing where several processes of tests share a processor.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, MongoDB and Redis of this run's own. The database is in memory: four times as quick, and it stays up."""
    options = Options(mongo_in_memory=True, mongo_heap="2g")
    directory = tmp_path_factory.mktemp("stack")
    with Stack(directory, services=("kafka", "mongo", "redis"), ports="free", options=options) as stack:
        yield stack


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An S3 server of this run's own. It is built with Go; without that its tests are skipped, but not in CI."""
    for tool in S3.program().all_tools():
        if (problem := tool.problem()) and not os.environ.get("CI"):
            pytest.skip(f"no S3 server: {tool.command}: {problem}")
    with Stack(directory=tmp_path_factory.mktemp("s3"), services=("s3",), ports="free") as stack:
        yield stack


@pytest.fixture(scope="session")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An Elasticsearch of this run's own. Where it cannot be had its tests are skipped, but not in CI."""
    for tool in ELASTICSEARCH.program().all_tools():
        if (problem := tool.problem()) and not os.environ.get("CI"):
            pytest.skip(f"no Elasticsearch: {tool.command}: {problem}")
    with Stack(tmp_path_factory.mktemp("search"), services=("elasticsearch",), ports="free") as stack:
        yield stack


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker that asks who its clients are."""
    broker = SecureKafka(tmp_path_factory.mktemp("secure"))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def newman() -> Path:
    """The program. It is installed with npm; without that its tests are skipped, but not in CI."""
    return provided(NEWMAN) / ".bin" / "newman"


@pytest.fixture
def environment(services: Stack, tmp_path: Path) -> dict[str, str]:
    """Where everything is, with a database, topics and a storage that nobody has used."""
    return namespace(services, tmp_path)


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a fresh namespace, read as a worker would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


@pytest.fixture
def start_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers in this test's namespace; keyword arguments are settings. All are killed at the end."""
    workers: list[Worker] = []

    def start(*, wait: bool = True, **extra: str) -> Worker:
        worker = Worker({**environment, **extra}, tmp_path / f"worker{len(workers)}")
        workers.append(worker)
        return worker.start() if wait else worker.launch()

    yield start
    for worker in workers:
        worker.kill()
        worker.client.close()


@pytest.fixture(scope="session")
def shared_environment(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The namespace of the worker that tests share."""
    return namespace(services, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def worker(shared_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A running worker that tests share; they tell their actions apart by id."""
    shared = Worker(
        # Streams that end at once, for tests of all routes.
        {
            **shared_environment,
            "MAX_UPLOAD_BYTES": "2000000",
            "MAX_FIELD_BYTES": "2000",
            "EVENT_STREAM_SECONDS": "0",
        },
        tmp_path_factory.mktemp("worker"),
    )
    try:
        yield shared.start()
    finally:
        shared.kill()
        shared.client.close()
