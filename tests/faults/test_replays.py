"""Workers that die in the middle of a replay, one after the other."""

from __future__ import annotations

import httpx
import pytest

from tests.support.scenes import MakeScene
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)


def test_a_replay_survives_all_who_run_it(make_scene: MakeScene) -> None:
    """They die before they send it, between the entry and the recount, and between the recount and the mark."""
    scene = make_scene(rows=2_000, STALL_TIMEOUT="2", RETRY_DELAYS="[0.5, 1, 2]", RETRY_INLINE_SECONDS="0.5")
    sick = scene.worker(inject={"fail_chunk": {"index": 2}})
    action = sick.submit(scene.file)
    assert sick.wait_ended(action)["failureCount"] >= 500
    [letter] = sick.dead_letters(actionId=action)
    sick.kill()
    doomed = scene.worker(inject={"kill": {"point": "replaying", "nth": 1}})
    with pytest.raises(httpx.TransportError):
        doomed.client.post(f"/dead-letters/{letter['id']}/replay")
    for point in ("closed", "recounted"):
        doomed = scene.worker(inject={"kill": {"point": point, "nth": 1}}, wait=False)
        doomed.wait_dead()
    healthy = scene.worker()

    def done() -> bool:
        [letter] = healthy.dead_letters(actionId=action)
        return bool(letter["status"] == "DONE")

    wait_for(done, "the replay is done")
    scene.assert_exact(healthy, action)
