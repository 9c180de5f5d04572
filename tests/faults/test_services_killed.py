"""Services that die or are away in the middle of a file, and come back."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import MakeScene, Scene
from tests.support import Worker, wait_for

pytestmark = pytest.mark.timeout(300)


def _under_way(scene: Scene) -> tuple[Worker, str]:
    worker = scene.worker()
    action = worker.submit(scene.file)
    wait_for(lambda: worker.action(action)["processedCount"] > 3_000, "under way")
    return worker, action


def test_the_broker_is_killed_and_comes_back_after_20_seconds(make_durable_scene: MakeScene) -> None:
    scene = make_durable_scene(rows=100_000)
    worker, action = _under_way(scene)
    scene.services["kafka"].kill()
    time.sleep(20)  # the length of the outage, not a synchronisation
    scene.services["kafka"].start()
    scene.struck()
    scene.assert_exact(worker, action)


def test_redis_is_killed_and_comes_back(make_durable_scene: MakeScene) -> None:
    scene = make_durable_scene()
    worker, action = _under_way(scene)
    scene.services["redis"].kill()
    time.sleep(5)  # the length of the outage
    scene.services["redis"].start()
    scene.struck()
    scene.assert_exact(worker, action)


def test_the_database_is_stopped_and_comes_back(make_durable_scene: MakeScene) -> None:
    scene = make_durable_scene()
    worker, action = _under_way(scene)
    scene.services["mongo"].stop()
    time.sleep(5)  # the length of the outage
    scene.services["mongo"].start()
    scene.struck()
    scene.assert_exact(worker, action)


def test_the_database_hangs_for_a_while(make_durable_scene: MakeScene) -> None:
    scene = make_durable_scene()
    worker, action = _under_way(scene)
    scene.services["mongo"].pause()
    time.sleep(5)  # the length of the outage
    scene.services["mongo"].resume()
    scene.struck()
    scene.assert_exact(worker, action)


def test_the_storage_is_unreadable_for_a_while(make_durable_scene: MakeScene) -> None:
    scene = make_durable_scene()
    worker, action = _under_way(scene)
    storage = Path(urlsplit(scene.environment["STORAGE_URI"]).path)
    # Renamed rather than without permissions, which would not stop root.
    hidden = storage.with_name("hidden")
    storage.rename(hidden)
    storage.touch()
    time.sleep(4)  # the length of the outage
    storage.unlink()
    hidden.rename(storage)
    scene.struck()
    scene.assert_exact(worker, action)
