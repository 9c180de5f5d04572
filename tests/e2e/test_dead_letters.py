"""Dead letters that cannot be replayed: the answer says why."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.dead_letters import Obstacle
from tests.support.assertions import error_of
from tests.support.letters import put_letter
from tests.support.workers import Worker


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"complete": False}, Obstacle.NOT_REPLAYABLE),
        ({"origin": {"topic": "gone", "partition": 0, "offset": 1}}, Obstacle.NOT_REPLAYABLE),
        ({}, Obstacle.ACTION_OVER),
        ({"obstacle": "CHUNK_UNREADABLE"}, Obstacle.CHUNK_UNREADABLE),
    ],
    ids=["cut", "of another topic", "of no action", "of no file"],
)
def test_impossible_replay_is_refused(
    worker: Worker, shared_environment: dict[str, str], changes: dict[str, Any], obstacle: Obstacle
) -> None:
    """A replay that cannot work is refused with a conflict that names the reason; the letter is as it was."""
    if "obstacle" in changes:
        action = worker.submit(b"id,name,email,status\nx,X,x@x.example,active\n")
        worker.wait_ended(action)
        changes = {**changes, "actionId": action}
    letter = put_letter(shared_environment, **changes)
    answer = worker.client.post(f"/dead-letters/{letter}/replay")
    assert error_of(answer) == (409, obstacle.name, obstacle.value)
    shown = [one for one in worker.dead_letters() if one["id"] == letter]
    assert [one["status"] for one in shown] == ["DEAD"]
