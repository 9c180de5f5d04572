"""Services that die or are away in the middle of a file, and come back."""

from __future__ import annotations

import time

import pytest

from tests.support.scenes import MakeScene

#: A chunk that fails is tried for about four seconds with these settings, and an action may stall for ten. The database
#: has four fifths of STALL_TIMEOUT for an answer: less would not do on a machine that is busy with other tests.
SHORT = {"RETRY_INLINE_SECONDS": "0.5", "RETRY_DELAYS": "[0.5, 0.5, 1]", "STALL_TIMEOUT": "5", "ACTION_MAX_STALLS": "2"}


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ("broker killed", 20),
        ("Redis killed", 12),
        ("Redis full", 12),
        ("Redis read-only", 12),
        # Its driver looks for a server for five seconds each time before it says that there is none.
        ("database stopped", 30),
        ("database hangs", 30),
        ("storage unreadable", 12),
        ("storage unmounted", 12),
    ],
)
def test_a_file_outlasts_an_outage(make_durable_scene: MakeScene, what: str, seconds: float) -> None:
    """A service is away in the middle of a file, for longer than all retries last: nothing is given up."""
    scene = make_durable_scene(**SHORT)
    worker = scene.worker()
    action = scene.under_way(worker)
    with scene.away(what):
        time.sleep(seconds)  # the length of the outage, not a synchronisation
    scene.assert_exact(worker, action)
    assert worker.dead_letters() == []


def test_upload_without_broker(make_durable_scene: MakeScene) -> None:
    """An upload succeeds while the broker is down, and completes when it is back."""
    scene = make_durable_scene(rows=5_000)
    worker = scene.worker()
    with scene.away("broker killed"):
        action = worker.submit(scene.file)
    scene.assert_exact(worker, action)
