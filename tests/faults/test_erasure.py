"""Workers that die in the middle of a deletion: what they leave, others take away, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pymongo
import pytest

from stack.samples import Sample
from tests.support.assertions import assert_verified
from tests.support.files import contacts_csv
from tests.support.leftovers import leftovers
from tests.support.namespaces import storage_of
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for
from tests.support.workers import Worker

pytestmark = pytest.mark.timeout(300)

#: Longer than the test takes: the end of an action forgets no claims meanwhile, and a deletion does.
_LATER = {"CLAIMS_RELEASE_AFTER": "600"}


def make_all_due(scene: Scene) -> None:
    """Turn the clock: what a deletion has put off is due."""
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
        database = client.get_default_database()
        now = datetime.now(UTC)
        # What the end of an action has put off by ten minutes is for the deletion itself to hasten.
        put_off = {"deletingAt": {"$ne": None}, "cleanupAt": {"$lt": now + timedelta(minutes=5)}}
        database["bulk_operations"].update_many(put_off, {"$set": {"cleanupAt": now}})
        database["erased_actions"].update_many({"sweepAt": {"$ne": None}}, {"$set": {"sweepAt": now}})


def swept(scene: Scene, action: str) -> bool:
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
        erased = client.get_default_database()["erased_actions"].find_one({"_id": action})
        return erased is not None and "sweepAt" not in erased


def wait_erased(scene: Scene, action: str) -> None:
    """Wait until a deletion has come to its end; then nothing is left."""

    def done() -> bool:
        make_all_due(scene)
        return swept(scene, action)

    wait_for(done, "the deletion is done")
    assert leftovers(scene.environment["MONGO_DB_URI"], scene.environment["REDIS_URI"], action) == set()
    assert not (storage_of(scene.environment) / action).exists()


def submit_deletion(scene: Scene, worker: Worker, keys: list[str]) -> str:
    """An action that deletes records, in several chunks."""
    action = worker.submit(contacts_csv(*keys, columns=("id",)), actionType="BULK_DELETE")
    ended = worker.wait_ended(action)
    assert ended["deletedCount"] == len(keys)
    return action


@pytest.mark.parametrize(
    "point",
    [
        "marked",
        "noted",
        "without letters",
        "without outcomes",
        "without claims",
        "without objects",
        "remembered",
        "removed",
        "swept",
    ],
)
def test_a_deletion_survives_its_worker(make_scene: MakeScene, point: str) -> None:
    """Nothing of the action is left, and the others are exact, also those whose records it had deleted."""
    scene = make_scene(rows=2_000, **_LATER)
    first = scene.worker()
    made = first.submit(scene.file)
    assert first.wait_ended(made)["status"] == "COMPLETED"
    other = Sample(1_500, prefix="other", seed=3)
    path = scene.directory / "other.csv"
    expected = other.write(path)
    kept = first.submit(path)
    counts = {name: first.wait_ended(kept)[name] for name in expected.counts()}
    action = submit_deletion(scene, first, sorted(scene.sample.records())[:1_200])
    first.kill()
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 2 if point == "without letters" else 1}})
    try:
        assert doomed.client.delete(f"/bulk-actions/{action}").status_code == 202
        if point == "swept":
            wait_for(lambda: make_all_due(scene) or not doomed.running, "the worker is dead")
    except httpx.TransportError:
        # It has died before it could answer.
        pass
    doomed.wait_dead()
    healthy = scene.worker()
    assert healthy.client.get(f"/bulk-actions/{action}").status_code == 404
    assert healthy.client.delete(f"/bulk-actions/{action}").status_code == 202
    wait_erased(scene, action)
    assert counts == expected.counts() == {name: healthy.action(kept)[name] for name in counts}
    assert_verified(scene.environment)
    assert healthy.dead_letters() == []
    assert len(healthy.client.get("/bulk-actions").json()) == 2


@pytest.mark.parametrize("point", ["expired", "without outcomes", "removed"])
def test_an_expiry_survives_its_worker(make_scene: MakeScene, point: str) -> None:
    """The same where nobody has asked for it: the time of an action is over, and others are kept."""
    scene = make_scene(rows=2_000, CLAIMS_RELEASE_AFTER="0.1", RETENTION_DAYS="30")
    first = scene.worker()
    kept, action = (first.submit(scene.file) for _ in range(2))
    for one in (kept, action):
        first.wait_ended(one)
    shown = first.action(action)
    assert datetime.fromisoformat(shown["expiresAt"]) - datetime.fromisoformat(shown["completedAt"]) == timedelta(30)

    def expires() -> bool:
        """Turn the clock until the clean-up has nothing left to do."""
        with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
            actions = client.get_default_database()["bulk_operations"]
            due = {"cleanupAt": {"$exists": True}}
            actions.update_many(due, {"$set": {"cleanupAt": datetime.now(UTC)}})
            return actions.count_documents({"expireAt": {"$exists": True}}) == 2

    wait_for(expires, "the actions expire some day")
    first.kill()
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
        over = {"$set": {"expireAt": datetime.now(UTC)}}
        client.get_default_database()["bulk_operations"].update_one({"_id": action}, over)
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 1}}, wait=False)
    doomed.wait_dead()
    healthy = scene.worker()
    wait_erased(scene, action)
    assert healthy.client.get(f"/bulk-actions/{action}").status_code == 404
    scene.assert_exact(healthy, kept)


def test_a_deletion_behind_a_cancel(make_scene: MakeScene) -> None:
    """Of an action that was cancelled with chunks in hand, at a worker that died: those are finished, then all goes."""
    scene = make_scene(rows=30_000, CLAIMS_RELEASE_AFTER="1")
    # No duplicates: which of two rows owns a record would depend on which chunk has claimed it first.
    scene.sample = Sample(30_000, duplicates=0.0, invalid=0.1)
    scene.sample.write(scene.file)
    healthy = scene.worker()
    # Half of the records are there already, so that a chunk has two writes.
    before = [f"{key},Before,{email},active" for key, (_, email, _) in list(scene.sample.records().items())[::2]]
    healthy.wait_ended(healthy.submit(contacts_csv(*before)))
    doomed = scene.worker(inject={"kill": {"point": "written", "nth": 10}, "slow_writes": {"seconds": 0.2}})
    action = healthy.submit(scene.file)
    doomed.wait_dead()
    assert healthy.client.post(f"/bulk-actions/{action}/cancel").status_code == 200
    assert healthy.client.delete(f"/bulk-actions/{action}").status_code == 202
    assert healthy.client.get(f"/bulk-actions/{action}").status_code == 404
    wait_erased(scene, action)
    # A chunk that was begun is written as a whole, in spite of all.
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"]) as client:
        found = client.get_default_database()["contacts"].find({"_bulk.actionId": action})
        written = {contact["_bulk"]["row"] for contact in found}
    good = {row for row, code in enumerate(scene.sample.codes(), start=1) if code is None}
    begun = {(row - 1) // 500 for row in written}
    assert 0 < len(begun) < 60
    assert written == {row for row in good if (row - 1) // 500 in begun}
