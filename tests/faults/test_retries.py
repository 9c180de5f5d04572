"""Retries while workers die: after dead letters, each row that failed is run again, once, and counted."""

from __future__ import annotations

import httpx
import pytest

from stack.samples import Sample
from tests.support.assertions import assert_verified, contacts
from tests.support.scenes import MakeScene
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(300)


def ask(worker: Worker, action: str) -> httpx.Response:
    return worker.client.post(f"/bulk-actions/{action}/retry")


@pytest.mark.parametrize("point", ["retrying", "planned", "written"])
def test_a_retry_after_dead_letters(make_scene: MakeScene, point: str) -> None:
    """A chunk was given up, and who makes the retry dies, or who runs it: all good rows are there in the end."""
    scene = make_scene(rows=4_000, RETRY_DELAYS="[0.5, 1, 2]", RETRY_INLINE_SECONDS="0.5")
    # No duplicates: which of two rows owns a record is not told by a file of which one half has failed.
    scene.sample = Sample(4_000, duplicates=0.0, invalid=0.1)
    scene.expected = scene.sample.write(scene.file)
    sick = scene.worker(inject={"fail_chunk": {"index": 2}})
    action = sick.submit(scene.file)
    first = sick.wait_ended(action)
    [letter] = sick.dead_letters(actionId=action)
    sick.kill()
    codes = scene.sample.codes()
    bad_in_chunk = sum(code is not None for code in codes[1000:1500])
    assert first["failureCount"] == scene.expected.failed - bad_in_chunk + 500
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 1}})
    try:
        made = ask(doomed, action).json()["actionId"]
    except httpx.TransportError:
        made = ""
    doomed.wait_dead()
    # Slow, so that the retry is under way when it is asked for again.
    successor = scene.worker(inject={"slow_writes": {"seconds": 2}})
    again = ask(successor, action)
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_RETRIED")
    assert made in ("", again.json()["retriedBy"])
    made = again.json()["retriedBy"]
    retried = successor.wait_ended(made)
    assert [one["actionId"] for one in successor.client.get("/bulk-actions").json()] == [made, action]
    assert retried["retryOf"] == action
    assert retried["totalCount"] == retried["processedCount"] == first["failureCount"]
    assert retried["failureCount"] == scene.expected.failed
    assert retried["successCount"] == retried["createdCount"] == 500 - bad_in_chunk
    shown = [(row["originalRow"], row["code"]) for row in successor.records(made, status="FAILED")]
    assert shown == [(number, code) for number, code in enumerate(codes, 1) if code is not None]
    assert contacts(scene.environment["MONGO_DB_URI"], scene.sample.prefix) == scene.sample.records()
    assert [one["status"] for one in successor.dead_letters(actionId=action)] == ["DEAD"], letter
    assert_verified(scene.environment)
    scene.figures.rows += first["totalCount"] + retried["totalCount"]
