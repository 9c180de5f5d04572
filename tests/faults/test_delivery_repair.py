"""Two lines of defence against messages that Faust loses, each proven with the other switched off."""

from __future__ import annotations

import pytest

from tests.faults.conftest import MakeScene, Scene
from tests.support import Worker, wait_for

pytestmark = pytest.mark.timeout(300)

#: So long that the watchdog and the second look at queued actions do not act within a test.
NEVER = {"STALL_TIMEOUT": "100000", "REQUEUE_AFTER": "100000"}
#: Many small chunks in flight, so that much is in hand when partitions change hands.
CROWDED = {"BATCH_SIZE": "100", "FEED_WINDOW": "400"}


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_the_repair_alone_loses_nothing_when_a_worker_dies(make_scene: MakeScene, concurrency: str) -> None:
    scene = make_scene(PROCESSOR_CONCURRENCY=concurrency, **NEVER, **CROWDED)
    _kill_one_of_two(scene, scene.worker(), scene.worker())


def test_the_watchdog_alone_loses_nothing_when_a_worker_dies(make_scene: MakeScene) -> None:
    scene = make_scene(**CROWDED)
    _kill_one_of_two(scene, scene.worker(inject={"no_repair": {}}), scene.worker(inject={"no_repair": {}}))


def _kill_one_of_two(scene: Scene, survivor: Worker, doomed: Worker) -> None:
    action = survivor.submit(scene.file)
    wait_for(lambda: survivor.action(action)["processedCount"] > 10_000, "under way")
    doomed.kill()
    scene.assert_exact(survivor, action)
