"""Messages that come twice, late, never, or that nobody should have sent."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from aiokafka import AIOKafkaProducer

from stack.samples import Sample
from tests.faults.conftest import Inject, MakeScene
from tests.support import Worker, assert_verified, wait_for


@pytest.mark.parametrize(
    "inject",
    [{"deliver_twice": {}}, {"drop": {"one_in": 20}}, {"disorder": {}}],
    ids=["every message twice", "one in twenty dropped", "results out of order"],
)
def test_the_counts_do_not_depend_on_how_messages_are_delivered(make_scene: MakeScene, inject: Inject) -> None:
    scene = make_scene()
    workers = [scene.worker(inject=inject), scene.worker(inject=inject)]
    scene.assert_exact(workers[0], workers[0].submit(scene.file))


def test_dispatchers_that_both_believe_they_lead_run_an_action_once(make_scene: MakeScene) -> None:
    scene = make_scene(rows=5_000)
    inject: Inject = {"everybody_leads": {}}
    workers = [scene.worker(inject=inject), scene.worker(inject=inject)]
    action = workers[0].submit(scene.file, scheduledAt="2020-01-01T00:00:00Z")
    scene.assert_exact(workers[1], action)


@pytest.mark.parametrize("transient", [False, True], ids=["at once", "after its retries"])
def test_a_chunk_that_always_fails_becomes_a_dead_letter_and_its_replay_corrects_the_counters(
    make_scene: MakeScene, transient: bool
) -> None:
    scene = make_scene(rows=5_000, RETRY_DELAYS="[0.5, 1, 2]", RETRY_MOMENT="0.5")
    sick = scene.worker(inject={"fail_chunk": {"index": 3, "transient": transient}})
    action = sick.submit(scene.file)
    ended = sick.wait_ended(action)
    dead = [row for row in sick.records(action, status="FAILED") if row["code"] == "DEAD_LETTER"]
    assert [row["row"] for row in dead] == list(range(1_501, 2_001))
    assert ended["processedCount"] == ended["totalCount"] == scene.expected.total
    assert ended["successCount"] + ended["failureCount"] + ended["skippedCount"] == ended["totalCount"]
    assert_verified(scene.environment, action)
    letters = sick.client.get("/dead-letters", params={"actionId": action}).json()
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


def test_garbage_and_unknown_actions_are_kept_as_dead_letters_and_disturb_nothing(make_scene: MakeScene) -> None:
    scene = make_scene(rows=5_000)
    worker = scene.worker()
    topic = scene.environment["KAFKA_TOPIC"]
    unknown = "f" * 24
    source = {
        "accountId": "default",
        "entityType": "Contact",
        "actionType": "BULK_UPDATE",
        "storageKey": "none",
        "columns": ["id", "name", "email", "status"],
        "rowCount": 10,
        "chunkCount": 1,
        "startedAt": "2026-01-01T00:00:00Z",
    }
    span = {"start": 0, "end": 10, "firstRow": 1, "rows": 1}
    messages = [
        (topic + suffix, value)
        for suffix in ("", ".feed", ".results", ".retry.1", ".DLQ", ".POISON")
        for value in (b"", b"\xff\x00garbage", b"{}", b'{"actionId": 7}', None)
    ]
    messages += [
        (topic, json.dumps({"actionId": unknown, "index": 0, "span": span, "source": source}).encode()),
        (f"{topic}.feed", json.dumps({"actionId": unknown}).encode()),
        (f"{topic}.results", json.dumps({"actionId": unknown, "index": 0, "chunkCount": 1, "counts": {}}).encode()),
    ]
    asyncio.run(_produce(scene.environment["KAFKA_BROKER"], messages))
    scene.assert_exact(worker, worker.submit(scene.file))
    letters = wait_for(lambda: _letters(worker, least=18), "the garbage is kept")
    assert {letter["kind"] for letter in letters} >= {"POISON", "CHUNK", "MESSAGE"}
    assert worker.running


def _letters(worker: Worker, least: int) -> list[dict[str, object]]:
    letters = worker.client.get("/dead-letters", params={"limit": 100}).json()
    return letters if len(letters) >= least else []


async def _produce(broker: str, messages: list[tuple[str, bytes | None]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.removeprefix("kafka://"))
    await producer.start()
    try:
        for topic, value in messages:
            await producer.send_and_wait(topic, value, key=os.urandom(4))
    finally:
        await producer.stop()


def test_two_actions_on_the_same_records_at_the_same_time_are_both_exact(make_scene: MakeScene) -> None:
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


def test_a_small_action_is_done_within_seconds_while_a_large_one_runs_on_a_slow_database(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(rows=500_000, BATCH_SIZE="1000", STALL_TIMEOUT="20")
    worker = scene.worker(inject={"slow_writes": {"seconds": 0.2}})
    large = worker.submit(scene.file)
    worker.wait_processed(large, more_than=0)
    before = worker.peak_memory()
    small = Sample(10, invalid=0, duplicates=0, prefix="small")
    expected = small.write(scene.directory / "small.csv")
    ended = worker.wait_ended(worker.submit(scene.directory / "small.csv"), timeout=15)
    assert ended["successCount"] == expected.success == 10
    assert worker.action(large)["status"] == "PROCESSING"
    assert worker.peak_memory() - before < 100 * 1024**2


def test_an_action_that_never_progresses_is_failed_with_the_reason(make_scene: MakeScene) -> None:
    scene = make_scene(rows=2_000, STALL_TIMEOUT="0.5", ACTION_MAX_STALLS="3")
    worker = scene.worker(inject={"drop": {"one_in": 1, "topic": scene.environment["KAFKA_TOPIC"]}})
    ended = worker.wait_ended(worker.submit(scene.file), timeout=60)
    assert ended["status"] == "FAILED"
    assert "4 of 4 chunks have no result" in ended["error"]
