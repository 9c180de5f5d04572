"""Two lines of defence against messages that Faust loses, each proven with the other switched off."""

from __future__ import annotations

import pytest

from tests.support.scenes import Inject, MakeScene, Scene

#: So long that the watchdog and the second look at queued actions do not act within a test.
NEVER = {"STALL_TIMEOUT": "100000", "REQUEUE_AFTER": "100000"}
#: Many small chunks in flight, so that much is in hand when partitions change hands.
CROWDED = {"BATCH_SIZE": "100", "FEED_WINDOW": "400"}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_repair_alone_loses_nothing_when_a_worker_dies(make_scene: MakeScene, concurrency: int) -> None:
    _kill_one_of_two(
        make_scene(rows=50_000, PROCESSOR_CONCURRENCY=str(concurrency), **NEVER, **CROWDED), _slow(concurrency)
    )


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_watchdog_alone_loses_nothing_when_a_worker_dies(make_scene: MakeScene, concurrency: int) -> None:
    scene = make_scene(rows=50_000, PROCESSOR_CONCURRENCY=str(concurrency), **CROWDED)
    _kill_one_of_two(scene, {"no_repair": {}, **_slow(concurrency)})


def _slow(concurrency: int) -> Inject:
    """So slow that the survivor has much in hand when it gets the partitions of the dead.

    With neither line of defence the file is then never finished: 1 to 57 of its 500 chunks were lost.
    """
    return {"slow_writes": {"seconds": 0.06 * concurrency}}


def _kill_one_of_two(scene: Scene, inject: Inject) -> None:
    survivor, doomed = scene.worker(inject=inject), scene.worker(inject=inject)
    action = survivor.submit(scene.file)
    survivor.wait_processed(action, more_than=10_000)
    doomed.kill()
    scene.struck()
    scene.assert_exact(survivor, action)
