"""Real services: what they survive, and whom they serve."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pymongo
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.adapters.storage import raw_storage
from app.settings import Settings
from stack import KAFKA, MONGO, REDIS, S3, AddressTaken, Options, Stack, StackError
from stack.addresses import is_listening
from stack.errors import Cancelled
from stack.process import PidFile
from tests.support.buckets import Bucket
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), ports="free") as running:
        yield running


async def produce(stack: Stack, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{stack[KAFKA].port}", acks="all")
    async with asyncio.timeout(30):
        await producer.start()
        try:
            await producer.send_and_wait(topic, value)
        finally:
            await producer.stop()


async def consume(stack: Stack, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{stack[KAFKA].port}")
    async with asyncio.timeout(30):
        await consumer.start()
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            value: bytes | None = (await consumer.getone()).value
            return value
        finally:
            await consumer.stop()


async def test_kafka_recovers_from_a_kill(stack: Stack) -> None:
    """Kafka comes back from a kill, on its port, with every acknowledged message."""
    await produce(stack, "kept", b"acknowledged")
    pid, port = stack["kafka"].pid, stack["kafka"].port
    await asyncio.to_thread(stack["kafka"].kill)
    assert not psutil.pid_exists(pid)
    await asyncio.to_thread(stack["kafka"].start)
    assert stack["kafka"].port == port
    assert await consume(stack, "kept") == b"acknowledged"


def test_mongo_recovers_from_a_kill(stack: Stack) -> None:
    """MongoDB comes back from a kill, on its port, with what is older than its commit delay."""
    with pymongo.MongoClient[dict[str, object]](stack.environment()["MONGO_DB_URI"]) as client:
        contacts = client.get_default_database()["contacts"]
        contacts.insert_one({"_id": "kept"})
        time.sleep(2)  # longer than the delay of a commit, not a synchronisation
        port = stack[MONGO].port
        stack[MONGO].kill()
        stack[MONGO].start()
        assert stack[MONGO].port == port
        assert contacts.find_one({"_id": "kept"}) == {"_id": "kept"}


def test_mongo_keeps_last_write_on_stop(stack: Stack) -> None:
    """MongoDB keeps the last write over an orderly stop."""
    with pymongo.MongoClient[dict[str, object]](stack.environment()["MONGO_DB_URI"]) as client:
        contacts = client.get_default_database()["contacts"]
        contacts.insert_one({"_id": "last"})
        stack[MONGO].stop()
        stack[MONGO].start()
        assert contacts.find_one({"_id": "last"}) == {"_id": "last"}


def test_redis_recovers_from_a_kill(stack: Stack) -> None:
    """Redis comes back from a kill, on its port, with every acknowledged write."""
    with redis.Redis.from_url(stack.environment()["REDIS_URI"]) as client:
        client.set("kept", "acknowledged")
        stack[REDIS].kill()
        stack[REDIS].start()
        assert client.get("kept") == b"acknowledged"


def test_s3_recovers_from_a_kill(s3: Stack) -> None:
    """S3 comes back from a kill, on its port, with every acknowledged object."""
    bucket = Bucket(s3)
    port = s3[S3].port
    bucket.put("kept", b"acknowledged")
    s3[S3].kill()
    s3[S3].start()
    assert s3[S3].port == port
    assert bucket.contents() == {"kept"}
    bucket.close()


async def test_s3_has_its_bucket(s3: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 has the bucket that its environment names."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    storage = raw_storage(settings.storage_uri, settings.s3_client)
    await storage.check()
    await storage.close()


def test_paused_service_is_silent(stack: Stack) -> None:
    """A paused service is silent until it is resumed."""
    service = stack["redis"]
    with redis.Redis(port=service.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client:
        assert client.ping()
        service.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        service.resume()
        assert client.ping()


def test_second_stack_shares_services(stack: Stack, tmp_path: Path) -> None:
    """A second stack takes what answers, and leaves it running."""
    pids = [instance.pid for instance in stack]
    with Stack(tmp_path, environment=stack.environment()) as second:
        assert second.environment() == stack.environment()
        assert all(instance.taken for instance in second)
        with pytest.raises(StackError, match="not ours to touch"):
            second["kafka"].kill()
    assert [instance.pid for instance in stack] == pids
    assert all(instance.alive() for instance in stack)


def test_one_stack_per_directory(stack: Stack) -> None:
    """A directory serves one stack at a time."""
    with pytest.raises(StackError, match="in use by another launcher"):
        Stack(stack.directory, ["redis"], ports="free").start()
    assert stack["redis"].alive()


def test_foreign_service_is_named(stack: Stack, tmp_path: Path) -> None:
    """What listens at the address and is not the service that is expected there is named."""
    environment = {"MONGO_DB_URI": f"mongodb://127.0.0.1:{stack['redis'].port}/bulk"}
    with pytest.raises(AddressTaken, match="is occupied by something that is not mongo"):
        Stack(tmp_path, ["mongo"], environment=environment).start()


def test_failed_service_stops_the_others(tmp_path: Path) -> None:
    """A service that does not come up shows the end of its log, and takes the others down."""
    stack = Stack(tmp_path, ["kafka", "redis"], ports="free", options=Options(kafka_heap="nonsense"))
    with pytest.raises(StackError, match="Invalid maximum heap size"):
        stack.start()
    assert not any(instance.alive() for instance in stack)


def test_start_can_be_given_up(tmp_path: Path) -> None:
    """A start under way can be given up."""
    stack = Stack(tmp_path, ["kafka"], ports="free")
    errors: list[BaseException] = []

    def start() -> None:
        try:
            stack.start()
        except StackError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    wait_for((tmp_path / "kafka" / "log").exists, "the broker is being started")
    stack.cancel()
    thread.join(60)
    assert [type(error) for error in errors] == [Cancelled]
    assert not stack["kafka"].alive()


def test_stack_restarts_in_place(tmp_path: Path) -> None:
    """A stack starts again on the same ports with the same data."""
    with Stack(tmp_path, ["redis"], ports="free") as first, redis.Redis(port=first["redis"].port) as client:
        client.set("kept", 1)
    with Stack(tmp_path, ["redis"], ports="free") as second, redis.Redis(port=second["redis"].port) as client:
        assert second["redis"].port == first["redis"].port
        assert client.get("kept") == b"1"


@pytest.fixture
def leftover(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis as a killed launcher leaves it behind where children cannot be bound to the life of their parent."""
    with Stack(tmp_path, ["redis"], ports="free") as stack:
        port = stack["redis"].port
    directory = tmp_path / "redis"
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    process = subprocess.Popen([*argv, "--set-proc-title", "no"], stdout=subprocess.DEVNULL)
    # Popen returns before the kernel shows the new command line, by which a leftover is recognised.
    wait_for(lambda: is_listening("127.0.0.1", port), "the leftover listens")
    PidFile(directory / "pid.json").write(process.pid)
    yield process
    process.kill()
    process.wait()


def test_leftovers_are_ended(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    """What a killed launcher left behind is ended by the next, which takes its port."""
    port = psutil.Process(leftover.pid).net_connections("tcp4")[0].laddr.port
    messages: list[str] = []
    with Stack(tmp_path, ["redis"], ports="free", report=lambda _, text: messages.append(text)) as stack:
        assert leftover.wait(30) is not None
        assert stack["redis"].port == port
        assert stack["redis"].pid != leftover.pid
    assert any(f"ended process {leftover.pid}" in message for message in messages)


def test_forked_stack_stops_nothing(stack: Stack) -> None:
    """A forked copy of the stack does not stop it."""
    child = os.fork()
    if child == 0:
        stack.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert all(instance.alive() for instance in stack)
