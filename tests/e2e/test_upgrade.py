"""An upgrade: today's workers take over what a release has left, with its messages in flight, and finish it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.assertions import assert_verified
from tests.support.installation import Document, load
from tests.support.paths import ROOT
from tests.support.waiting import wait_for
from tests.support.workers import Worker

RELEASES = sorted((ROOT / "tests/data").glob("release-*"))


@pytest.mark.parametrize("release", RELEASES, ids=lambda directory: directory.name)
def test_a_release_is_taken_over(
    release: Path, start_worker: Callable[..., Worker], environment: dict[str, str]
) -> None:
    """What has ended stays as it was, row by row; what was under way ends with its totals; nothing is counted twice.

    All messages that the release has ever sent come once more, not only those in flight.
    """
    found, expected = load(release)
    found.put_into(environment)
    actions: dict[str, Document] = expected["actions"]
    worker = start_worker(wait=False, AUTH_MODE="required", STREAM_TIMEOUT="1000000000", STALL_TIMEOUT="5")
    worker.client.headers["X-API-Key"] = expected["key"]
    worker.wait_ready()

    for action in actions.values():
        if becomes := action.get("becomes"):
            ended = worker.wait_ended(action["id"])
            assert {name: ended[name] for name in becomes} == becomes
    for name, action in actions.items():
        if action["now"] is None:
            assert worker.client.get(f"/bulk-actions/{action['id']}").status_code == 404, name
        elif "becomes" not in action:
            told = worker.action(action["id"])
            assert {key: told[key] for key in action["now"]} == action["now"], name
        if "rows" in action:
            assert [[row["status"], row["code"]] for row in worker.records(action["id"])] == action["rows"], name

    _resume(worker, actions)
    _replay(worker, actions)
    assert_verified(environment)


def _resume(worker: Worker, actions: dict[str, Document]) -> None:
    """What was paused goes on."""
    if resumed := actions["paused"].get("resumed"):
        action = actions["paused"]["id"]
        assert worker.client.post(f"/bulk-actions/{action}/resume").status_code == 200
        ended = worker.wait_ended(action)
        assert {name: ended[name] for name in resumed} == resumed


def _replay(worker: Worker, actions: dict[str, Document]) -> None:
    """A dead letter can be replayed, and corrects the counters."""
    action = actions["given up"]["id"]
    [letter] = worker.dead_letters(actionId=action)
    assert worker.client.post(f"/dead-letters/{letter['id']}/replay").status_code == 202
    rows = actions["given up"]["now"]["totalCount"]
    wait_for(lambda: worker.action(action)["successCount"] == rows, "the rows of the letter are written")
