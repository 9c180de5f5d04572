"""Rows that come over Kafka while workers die: each that a producer has sent is taken, run and counted once."""

from __future__ import annotations

import csv
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stack.samples import Sample
from tests.support.assertions import assert_verified, contacts
from tests.support.producers import Rows, open_stream, produce
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(300)

#: Rows of a chunk; and of these, in one more chunk, those that are not valid.
PER_CHUNK, BAD = 250, 20


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    # JSON has no rows of another width.
    made = make_scene(rows=10_000)
    made.sample = Sample(10_000, invalid=0.0)
    made.expected = made.sample.write(made.file)
    return made


def chunks_of(scene: Scene) -> list[Rows]:
    """The rows of the scene, chunk by chunk; the last of these fail."""
    with scene.file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    bad = [{"id": f"bad{number}", "name": "N", "email": "none", "status": "active"} for number in range(BAD)]
    return [*(rows[start : start + PER_CHUNK] for start in range(0, len(rows), PER_CHUNK)), bad]


def twice_in_disorder(chunks: list[Rows]) -> list[tuple[int, Rows]]:
    sent = [*enumerate(chunks), *enumerate(chunks)]
    random.Random(5).shuffle(sent)
    return sent


@contextmanager
def producing(worker: Worker, opened: dict[str, Any], chunks: list[tuple[int, Rows]]) -> Iterator[None]:
    """A producer that sends chunks one by one, while something else happens."""
    failed: list[Exception] = []

    def send() -> None:
        try:
            for start in range(0, len(chunks), 4):
                for index, rows in chunks[start : start + 4]:
                    produce(worker, opened, {index: rows})
                time.sleep(0.05)  # sent over some seconds, so that the kill falls into them
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert failed == []


def assert_exact(scene: Scene, worker: Worker, action_id: str, *, copies: int = 0) -> None:
    """Every row has one outcome, and the records are those of the rows; the verify command agrees.

    ``copies``: the rows that producers have sent once more, under numbers of their own.
    """
    ended, expected = worker.wait_ended(action_id, 150), scene.expected
    assert ended["status"] == "COMPLETED", ended["error"]
    total = expected.total + BAD + copies
    assert (ended["totalCount"], ended["processedCount"]) == (total, total)
    assert (ended["successCount"], ended["failureCount"]) == (expected.success, BAD)
    assert ended["duplicateCount"] == expected.duplicates + copies
    assert ended["createdCount"] == expected.success
    assert contacts(scene.environment["MONGO_DB_URI"], scene.sample.prefix) == scene.sample.records()
    assert len(worker.records(action_id)) == total
    assert worker.dead_letters(actionId=action_id) == []
    assert_verified(scene.environment, action_id)
    scene.figures.rows += total


@pytest.mark.parametrize(
    "point", ["numbered", "stored", "arrived", "summed", "claimed", "planned", "written", "closed", "sealing", "sealed"]
)
def test_a_worker_dies_on_the_way_of_a_chunk(scene: Scene, point: str) -> None:
    """Between reading it and storing it, noting it, running it, and sealing its action: another takes over."""
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 1 if point.startswith("seal") else 7}})
    chunks = chunks_of(scene)
    opened = open_stream(doomed)
    closed = doomed.client.post(f"/bulk-actions/{opened['actionId']}/close", json={"chunks": len(chunks)})
    assert closed.status_code == 200
    produce(doomed, opened, dict(enumerate(chunks)))
    doomed.wait_dead()
    scene.struck()
    assert_exact(scene, scene.worker(), opened["actionId"])


def test_twice_and_in_disorder_with_kills(scene: Scene) -> None:
    """A producer sends everything twice and out of order, while a worker is killed, and another one later."""
    first, second = (scene.worker(inject={"slow_writes": {"seconds": 0.05}}) for _ in range(2))
    opened = open_stream(first)
    action_id, chunks = opened["actionId"], chunks_of(scene)
    with producing(first, opened, twice_in_disorder(chunks)):
        wait_for(lambda: first.action(action_id)["stream"]["receivedChunks"] > 5, "chunks have arrived")
        second.kill()
        third = scene.worker()
        wait_for(lambda: third.action(action_id)["stream"]["receivedChunks"] > 20, "more have arrived")
        first.kill()
        scene.struck()
    rows = sum(map(len, chunks))
    answer = third.client.post(f"/bulk-actions/{action_id}/close", json={"rows": rows, "chunks": len(chunks)})
    assert answer.status_code == 200, answer.text
    assert_exact(scene, third, action_id)


def test_messages_without_index_with_a_kill(scene: Scene) -> None:
    """What Kafka delivers again after a kill is the same chunk; what was sent again is another."""
    doomed, other = scene.worker(inject={"kill": {"point": "arrived", "nth": 9}}), scene.worker()
    opened, chunks = open_stream(other), chunks_of(scene)
    produce(other, opened, chunks)
    produce(other, opened, chunks[:1])
    doomed.wait_dead()
    scene.struck()
    rows = sum(map(len, chunks)) + len(chunks[0])
    other.client.post(f"/bulk-actions/{opened['actionId']}/close", json={"rows": rows})
    ended = other.wait_ended(opened["actionId"], 150)
    assert (ended["status"], ended["totalCount"]) == ("COMPLETED", rows)
    # A number that nobody has got stays vacant.
    assert ended["chunkCount"] >= len(chunks) + 1
    assert ended["successCount"] == scene.expected.success
    assert contacts(scene.environment["MONGO_DB_URI"], scene.sample.prefix) == scene.sample.records()
    assert_verified(scene.environment, opened["actionId"])


def test_services_are_away(scene: Scene) -> None:
    """The storage is away while chunks come: they wait, with their tokens, and are taken once it is back."""
    worker = scene.worker()
    opened, chunks = open_stream(worker), chunks_of(scene)
    with scene.away("storage unreadable"):
        produce(worker, opened, dict(enumerate(chunks)))
        time.sleep(4)  # longer than RETRY_INLINE_SECONDS: what waits is in a retry topic
    worker.client.post(f"/bulk-actions/{opened['actionId']}/close", json={"chunks": len(chunks)})
    assert_exact(scene, worker, opened["actionId"])
