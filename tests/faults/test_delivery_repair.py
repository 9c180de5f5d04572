"""Two lines of defence against messages that Faust loses, each proven with the other switched off."""

from __future__ import annotations

import pytest

from tests.support.scenes import Inject, MakeScene

#: So long that the watchdog and the second look at queued actions do not act within a test.
NEVER = {"STALL_TIMEOUT": "100000", "REQUEUE_AFTER": "100000"}
#: Which of the two is left → the settings and the faults that switch the other one off.
DEFENCES: dict[str, tuple[dict[str, str], Inject]] = {
    "the repair": (NEVER, {}),
    "the watchdog": ({}, {"no_repair": {}}),
}
#: Many small chunks in flight, so that much is in hand when partitions change hands.
CROWDED = {"BATCH_SIZE": "100", "FEED_WINDOW": "400"}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("defence", DEFENCES)
def test_one_line_of_defence_is_enough(make_scene: MakeScene, defence: str, concurrency: int) -> None:
    """One of two workers dies with much in hand: nothing is lost, although only one line of defence is left."""
    settings, switched_off = DEFENCES[defence]
    scene = make_scene(rows=50_000, PROCESSOR_CONCURRENCY=str(concurrency), **settings, **CROWDED)
    # So slow that the survivor has much in hand when it gets the partitions of the dead. With neither line of defence
    # the file is then never finished: 1 to 57 of its 500 chunks were lost.
    inject = {**switched_off, "slow_writes": {"seconds": 0.06 * concurrency}}
    survivor, doomed = scene.worker(inject=inject), scene.worker(inject=inject)
    action = survivor.submit(scene.file)
    survivor.wait_processed(action, more_than=10_000)
    doomed.kill()
    scene.struck()
    scene.assert_exact(survivor, action)
