"""Actions that are cancelled, paused and resumed while workers die: what was written is counted, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx
import pymongo
import pytest

from tests.support.assertions import assert_verified, contacts
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(400)

#: Rows of a window, and of one that is half done with the next one behind it: what may be on its way.
IN_FLIGHT = 500 * 16 * 3 // 2


def steer(worker: Worker, action: str, step: str) -> dict[str, Any]:
    answer = worker.client.post(f"/bulk-actions/{action}/{step}", json={"reason": "a test"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def wait_settled(scene: Scene, action: str) -> None:
    """Wait until the clean-up of a cancelled action has nothing left to finish."""
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
        actions = client.get_default_database()["bulk_operations"]
        settled = {"_id": action, "recounted": True}
        wait_for(lambda: actions.find_one(settled), "the cancelled action is settled", timeout=120)


def assert_cancelled(scene: Scene, worker: Worker, action: str) -> None:
    """Each row has run, is written and counted, or it has not run and is none of these."""
    wait_settled(scene, action)
    ended = worker.action(action)
    assert ended["status"] == "CANCELLED"
    counted = ended["successCount"] + ended["failureCount"] + ended["skippedCount"]
    assert counted == ended["processedCount"] == ended["totalCount"] - ended["unprocessedCount"]
    assert 0 < counted < ended["totalCount"]
    assert len(contacts(scene.environment["MONGO_DB_URI"], scene.sample.prefix)) == ended["successCount"]
    assert ended["createdCount"] == ended["successCount"]
    assert_verified(scene.environment, action)
    scene.figures.rows += counted


@pytest.mark.parametrize("point", ["claimed", "planned", "written", "closed"])
def test_a_worker_dies_and_its_action_is_cancelled(make_scene: MakeScene, point: str) -> None:
    """It dies with chunks in hand, which nobody would deliver again for an action that has ended."""
    scene = make_scene(CLAIMS_RELEASE_AFTER="1", rows=60_000)
    healthy = scene.worker()
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 10}, "slow_writes": {"seconds": 0.2}})
    action = healthy.submit(scene.file)
    doomed.wait_dead()
    steer(healthy, action, "cancel")
    assert_cancelled(scene, healthy, action)


def test_the_worker_that_cancels_dies(make_scene: MakeScene) -> None:
    """Right behind the end, with rows that are written and have no outcome: its successor sees to them."""
    scene = make_scene(CLAIMS_RELEASE_AFTER="1")
    doomed = scene.worker(inject={"kill": {"point": "ended", "nth": 1}, "slow_close": {"seconds": 0.2}})
    action = scene.under_way(doomed)
    with pytest.raises(httpx.TransportError):
        steer(doomed, action, "cancel")
    doomed.wait_dead()
    assert_cancelled(scene, scene.worker(), action)


def test_a_cancel_acts_within_a_window(make_scene: MakeScene) -> None:
    """Of many chunks on their way only those that were begun are finished."""
    scene = make_scene(CLAIMS_RELEASE_AFTER="1")
    worker = scene.worker(inject={"slow_writes": {"seconds": 0.2}})
    action = scene.under_way(worker)
    before = steer(worker, action, "cancel")["processedCount"]
    assert_cancelled(scene, worker, action)
    assert worker.action(action)["processedCount"] - before <= 500 * 4


def test_a_pause_survives_all_workers(make_scene: MakeScene) -> None:
    """The only worker dies in it; it lasts all the same, and nothing is lost or done twice afterwards."""
    scene = make_scene(rows=40_000)
    doomed = scene.worker(inject={"slow_writes": {"seconds": 0.1}})
    action = scene.under_way(doomed)
    before = steer(doomed, action, "pause")["processedCount"]
    doomed.kill()
    successor = scene.worker()
    # Whatever is delivered again, and whatever the watchdog does, within more than two looks of it.
    other = successor.submit(b"id,name,email,status\nother,O,other@example.com,active\n")
    successor.wait_ended(other)
    paused = successor.action(action)
    assert paused["status"] == "PAUSED"
    assert paused["processedCount"] - before <= IN_FLIGHT
    scene.struck()
    steer(successor, action, "resume")
    scene.assert_exact(successor, action)


def test_pauses_under_load_with_a_kill(make_scene: MakeScene) -> None:
    """Paused and resumed again and again, while one of two workers dies and comes back."""
    scene = make_scene(rows=60_000)
    first, second = (scene.worker(inject={"slow_writes": {"seconds": 0.1}}) for _ in range(2))
    action = scene.under_way(first)
    for turn in range(6):
        steer(first, action, "pause")
        if turn == 2:
            second.kill()
        steer(first, action, "resume")
        if turn == 4:
            second.launch()
        first.wait_processed(action, more_than=3_000 + turn * 2_000)
    scene.assert_exact(first, action)
    entries = [entry["status"] for entry in first.action(action)["history"]]
    assert entries == ["QUEUED", *["PROCESSING", "PAUSED"] * 6, "PROCESSING", "COMPLETED"]
