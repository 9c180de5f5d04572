"""Workers that die by SIGKILL in the middle of a file: every row still has exactly one outcome."""

from __future__ import annotations

import httpx
import pytest

from tests.support.scenes import MakeScene
from tests.support.waiting import wait_for


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("feeding", 20),
        ("claimed", 30),
        ("written", 30),
        ("closed", 30),
        ("counting", 40),
        ("flushing", 2),
    ],
)
def test_successor_finishes_the_file(make_scene: MakeScene, point: str, nth: int) -> None:
    """The only worker dies, and the file is finished by its successor."""
    scene = make_scene(seed=nth)
    doomed = scene.worker(inject={"kill": {"point": point, "nth": nth}})
    action = doomed.submit(scene.file)
    doomed.wait_dead()
    scene.struck()
    successor = scene.worker()
    scene.assert_exact(successor, action)


def test_upload_after_death_is_repeated(
    make_scene: MakeScene,
) -> None:
    """A worker that dies during an upload leaves no action, and the upload can be repeated."""
    scene = make_scene()
    doomed = scene.worker(inject={"kill": {"point": "uploading", "nth": 4}})
    with pytest.raises(httpx.TransportError):
        doomed.upload(scene.file)
    successor = scene.worker()
    assert successor.client.get("/bulk-actions").json() == []
    scene.assert_exact(successor, successor.submit(scene.file))


def test_third_worker_replaces_dead_one(make_scene: MakeScene) -> None:
    """One of two workers dies for good, and a third joins."""
    scene = make_scene(rows=50_000)
    first, second = scene.worker(), scene.worker()
    action = first.submit(scene.file)
    first.wait_processed(action, more_than=10_000)
    second.kill()
    scene.struck()
    third = scene.worker(wait=False)
    scene.assert_exact(first, action)
    third.wait_ready()


def test_rolling_restart_loses_nothing(make_scene: MakeScene) -> None:
    """A rolling restart of all workers loses nothing."""
    scene = make_scene(rows=100_000)
    workers = [scene.worker(), scene.worker()]
    action = workers[0].submit(scene.file)
    for number, worker in enumerate(workers):
        other = workers[1 - number]
        other.wait_processed(action, more_than=5_000 * (number + 1))
        assert worker.stop() == 0
        worker.start()
    scene.assert_exact(workers[0], action)


def test_ready_after_recovery_of_tables(make_scene: MakeScene) -> None:
    """A worker is not ready before its tables are recovered."""
    scene = make_scene()
    doomed = scene.worker(inject={"kill": {"point": "counting", "nth": 40}})
    action = doomed.submit(scene.file)
    doomed.wait_dead()
    gate = scene.directory / "gate"
    gate.mkdir()
    successor = scene.worker(inject={"hold_recovery": {"gate": str(gate)}}, wait=False)
    wait_for((gate / "reached").exists, "the tables are about to be recovered")
    answer = successor.readiness()
    assert (answer["status"], answer["checks"].pop("worker")) == ("DOWN", "STARTING")
    assert set(answer["checks"].values()) == {"UP"}
    (gate / "open").touch()
    successor.wait_ready()
    scene.assert_exact(successor, action)
