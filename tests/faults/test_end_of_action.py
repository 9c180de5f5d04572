"""The database dies in the very moment in which an action ends."""

from __future__ import annotations

import time

import pymongo
import pytest

from tests.support.assertions import assert_verified
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

_TIMES = 20


def test_the_database_dies_at_the_end(make_durable_scene: MakeScene) -> None:
    """Whatever it has lost, twenty times: the action ends, and is exact."""
    scene = make_durable_scene(rows=2_000, STALL_TIMEOUT="2", ACTION_MAX_STALLS="3", RETRY_DELAYS="[1, 1, 1]")
    worker = scene.worker()
    for number in range(_TIMES):
        action = worker.submit(scene.file)
        _wait_completed(scene, action)
        time.sleep(number * 0.1 / _TIMES)  # the moment of the death, from 0 to 95 ms after the end
        scene.services["mongo"].kill()
        scene.services["mongo"].start()
        ended = worker.wait_ended(action)
        assert {name: ended[name] for name in scene.expected.counts()} == scene.expected.counts(), ended
    scene.assert_exact(worker, action)
    assert_verified(scene.environment)


def _wait_completed(scene: Scene, action: str) -> None:
    with pymongo.MongoClient(scene.environment["MONGO_DB_URI"]) as client:
        actions = client.get_default_database()["bulk_operations"]
        ended = {"_id": action, "status": "COMPLETED"}
        wait_for(lambda: actions.find_one(ended), "the end", pause=0.002, timeout=120)
