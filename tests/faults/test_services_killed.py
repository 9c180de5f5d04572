"""Services that die or are away in the middle of a file, and come back."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import MakeScene


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ("broker killed", 20),
        ("Redis killed", 5),
        ("database stopped", 5),
        ("database hangs", 5),
        ("storage unreadable", 4),
    ],
)
def test_a_file_outlasts_an_outage(make_durable_scene: MakeScene, what: str, seconds: float) -> None:
    """A service is away in the middle of a file and comes back: the file is finished, exactly."""
    scene = make_durable_scene()
    worker = scene.worker()
    action = scene.under_way(worker)
    with scene.away(what):
        time.sleep(seconds)  # the length of the outage, not a synchronisation
    scene.assert_exact(worker, action)
