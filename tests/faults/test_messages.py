"""Messages that come twice, late, never, or that nobody should have sent."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from app.domain.dead_letters import Origin
from app.kafka.retry_headers import RetryHeaders
from stack.samples import Sample
from tests.support.assertions import assert_verified
from tests.support.clients import NotUtf8
from tests.support.factories import chunk_document, source_document
from tests.support.scenes import Inject, MakeScene
from tests.support.waiting import wait_for
from tests.support.workers import Worker


@pytest.mark.parametrize(
    "inject",
    [{"deliver_twice": {}}, {"drop": {"one_in": 20}}, {"disorder": {}}],
    ids=["every message twice", "one in twenty dropped", "results out of order"],
)
def test_delivery_does_not_change_counts(make_scene: MakeScene, inject: Inject) -> None:
    """The counts do not depend on how messages are delivered."""
    scene = make_scene()
    workers = [scene.worker(inject=inject), scene.worker(inject=inject)]
    scene.assert_exact(workers[0], workers[0].submit(scene.file))


def test_two_leaders_run_an_action_once(make_scene: MakeScene) -> None:
    """Dispatchers that both believe they lead run an action once."""
    scene = make_scene(rows=5_000)
    inject: Inject = {"everybody_leads": {}}
    workers = [scene.worker(inject=inject), scene.worker(inject=inject)]
    action = workers[0].submit(scene.file, scheduledAt="2020-01-01T00:00:00Z")
    scene.assert_exact(workers[1], action)


@pytest.mark.parametrize("transient", [False, True], ids=["at once", "after its retries"])
def test_failing_chunk_is_dead_lettered(make_scene: MakeScene, transient: bool) -> None:
    """A chunk that always fails becomes a dead letter, and its replay corrects the counters."""
    scene = make_scene(rows=5_000, RETRY_DELAYS="[0.5, 1, 2]", RETRY_INLINE_SECONDS="0.5")
    sick = scene.worker(inject={"fail_chunk": {"index": 3, "transient": transient}})
    action = sick.submit(scene.file)
    ended = sick.wait_ended(action)
    dead = [row for row in sick.records(action, status="FAILED") if row["code"] == "DEAD_LETTER"]
    assert [row["row"] for row in dead] == list(range(1_501, 2_001))
    assert ended["processedCount"] == ended["totalCount"] == scene.expected.total
    assert ended["successCount"] + ended["failureCount"] + ended["skippedCount"] == ended["totalCount"]
    assert_verified(scene.environment, action)
    letters = sick.dead_letters(actionId=action)
    assert [(letter["index"], letter["rowCount"], letter["status"]) for letter in letters] == [(3, 500, "DEAD")]
    assert letters[0]["retryCount"] == (4 if transient else 1)
    assert "injected" not in letters[0]["error"], "what a fault says is for the log"
    sick.kill()

    healed = scene.worker()
    replay = f"/dead-letters/{letters[0]['id']}/replay"
    assert healed.client.post(replay).status_code == 202
    wait_for(lambda: healed.action(action)["successCount"] == scene.expected.success, "the counters are corrected")
    scene.assert_exact(healed, action)
    assert healed.client.post(replay).status_code == 409


def test_garbage_disturbs_nothing(make_scene: MakeScene) -> None:
    """Garbage and unknown actions are kept as dead letters, and disturb nothing."""
    scene = make_scene(rows=5_000)
    worker = scene.worker()
    topic = scene.environment["KAFKA_TOPIC"]
    unknown = "f" * 24
    chunk = chunk_document(
        actionId=unknown,
        index=0,
        span={"start": 0, "end": 10, "firstRow": 1, "rows": 1},
        source=source_document(storageKey="none", chunkCount=1),
    )
    messages = [
        (topic + suffix, value)
        for suffix in ("", ".feed", ".results", ".retry.1", ".DLQ", ".POISON")
        for value in (b"", b"\xff\x00garbage", b"{}", b'{"actionId": 7}', None)
    ]
    messages += [
        (topic, json.dumps(chunk).encode()),
        (f"{topic}.feed", json.dumps({"actionId": unknown}).encode()),
        (f"{topic}.results", json.dumps({"actionId": unknown, "index": 0, "chunkCount": 1, "counts": {}}).encode()),
    ]
    asyncio.run(_produce(scene.environment["KAFKA_BROKER"], messages))
    scene.assert_exact(worker, worker.submit(scene.file))
    letters = wait_for(lambda: _letters(worker, least=18), "the garbage is kept")
    assert {letter["kind"] for letter in letters} >= {"POISON", "CHUNK", "MESSAGE"}
    assert worker.running


def _letters(worker: Worker, least: int) -> list[dict[str, Any]]:
    letters = worker.dead_letters()
    return letters if len(letters) >= least else []


def test_odd_messages_stop_no_agent(make_scene: MakeScene) -> None:
    """No size and no header stops an agent.

    Messages above what a producer may send, though not the broker, and headers as nobody writes them.
    """
    scene = make_scene(rows=5_000, RETRY_DELAYS="[0.5, 0.5, 0.5]", RETRY_INLINE_SECONDS="0.5")
    worker = scene.worker()
    topic = scene.environment["KAFKA_TOPIC"]
    unknown = b'"actionId": "' + b"f" * 24 + b'"'
    large = 1_040_000
    values = [
        b"\xff" * large,
        b"{" + unknown + b', "junk": "' + b"x" * large + b'"}',
        b"{" + unknown + b', "indexes": [' + b"1," * (large // 2) + b"1]}",
        b"{" + unknown + b', "chunkCount": 1, "counts": {"' + b"k" * large + b'": "x"}}',
    ]
    history = RetryHeaders(Origin(f"{topic}.feed", 0, 0), 1, "2026-01-31T09:00:00.000+00:00", "it failed").to_headers()
    odd = [
        {"retry-count": b"-5", "due": b"1"},
        {"attempt": b"9" * 4000},
        *({"due": due} for due in (b"nan", b"inf", b"1e308", b"-1", b"soon", b"")),
        {"origin-topic": b"\xff"},
        {"origin-topic": b"x" * 500_000},
        {"origin-offset": b"9" * 4000},
        {"error-message": b"x" * 500_000},
    ]
    headers: list[list[tuple[str, bytes]]] = [list({**history, **change}.items()) for change in odd]
    headers += [[(NotUtf8(), b"1")], [(f"name{number}", b"x") for number in range(5_000)]]
    suffixes = ("", ".feed", ".results", ".retry.1", ".DLQ", ".POISON")
    asyncio.run(
        _produce_hostile(
            scene.environment["KAFKA_BROKER"],
            [(topic + suffix, value, []) for suffix in suffixes for value in values],
            [(topic + suffix, b"{" + unknown + b"}", one) for suffix in suffixes for one in headers],
        )
    )
    letters = wait_for(lambda: _letters(worker, least=50), "what cannot be done is kept", timeout=120)
    assert all(len(str(letter["payload"])) <= 400_000 for letter in letters)
    # Behind all that, in every partition of every topic, goes what anybody wants to have done.
    scene.assert_exact(worker, worker.submit(scene.file))
    assert worker.running


Hostile = tuple[str, bytes, list[tuple[str, bytes]]]


async def _produce_hostile(broker: str, large: list[Hostile], odd: list[Hostile]) -> None:
    """Send to partitions by the builder that does not look at the names of headers, in turn with each compression."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (message_accumulator, producer):
            patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        for compression in (None, "gzip", "snappy", "lz4", "zstd"):
            async with AIOKafkaProducer(
                bootstrap_servers=broker.removeprefix("kafka://"),
                max_request_size=2_000_000,
                compression_type=compression,
            ) as client:
                messages = [(0, *one) for one in large] if compression is None else []
                messages += [(partition, *one) for partition in range(4) for one in odd]
                for partition, topic, value, headers in messages:
                    await client.send(topic, value, key=os.urandom(4), partition=partition, headers=headers)
                await client.flush()


async def _produce(broker: str, messages: list[tuple[str, bytes | None]]) -> None:
    client = AIOKafkaProducer(bootstrap_servers=broker.removeprefix("kafka://"))
    await client.start()
    try:
        for topic, value in messages:
            await client.send_and_wait(topic, value, key=os.urandom(4))
    finally:
        await client.stop()


def test_concurrent_actions_are_exact(make_scene: MakeScene) -> None:
    """Two actions on the same records at the same time are both exact."""
    scene = make_scene(rows=30_000, seed=21)
    second = Sample(30_000, seed=21, name_suffix=" II")
    expected = second.write(scene.directory / "second.csv")
    workers = [scene.worker(), scene.worker()]
    actions = [workers[0].submit(scene.file), workers[1].submit(scene.directory / "second.csv")]
    ended = [workers[0].wait_ended(action) for action in actions]
    for action in ended:
        assert {name: action[name] for name in expected.counts()} == expected.counts()
    assert sum(action["createdCount"] for action in ended) == expected.success
    assert_verified(scene.environment)


def test_small_action_overtakes_large(
    make_scene: MakeScene,
) -> None:
    """A small action is done while a large one runs on a slow database."""
    scene = make_scene(rows=500_000, BATCH_SIZE="1000", STALL_TIMEOUT="20")
    worker = scene.worker(inject={"slow_writes": {"seconds": 0.2}})
    large = worker.submit(scene.file)
    worker.wait_processed(large, more_than=0)
    before = worker.peak_memory()
    small = Sample(10, invalid=0, duplicates=0, prefix="small")
    expected = small.write(scene.directory / "small.csv")
    ended = worker.wait_ended(worker.submit(scene.directory / "small.csv"), timeout=60)
    assert ended["successCount"] == expected.success == 10
    assert worker.action(large)["status"] == "PROCESSING"
    assert worker.peak_memory() - before < 100 * 1024**2


def test_stuck_action_fails(make_scene: MakeScene) -> None:
    """An action that never progresses is failed, with the reason."""
    scene = make_scene(rows=2_000, STALL_TIMEOUT="0.5", ACTION_MAX_STALLS="3")
    worker = scene.worker(inject={"drop": {"one_in": 1, "topic": scene.environment["KAFKA_TOPIC"]}})
    ended = worker.wait_ended(worker.submit(scene.file), timeout=120)
    assert ended["status"] == "FAILED"
    assert "4 of 4 chunks have no result" in ended["error"]
