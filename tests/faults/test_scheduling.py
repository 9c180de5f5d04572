"""Dispatchers that die, that are two, and whose clocks are wrong: what is due is started, once, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest

from app.domain.actions import new_action_id
from stack.samples import Sample
from tests.support.assertions import assert_verified
from tests.support.scenes import MakeScene, Scene
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)

HOUR = timedelta(hours=1)
#: Actions that are due at once, and those of them whose rows are run, too, and recounted: each costs that a dozen
#: queries.
MANY, RUN = 10_000, 300
#: When those were made.
LAST = datetime(2040, 1, 1, tzinfo=UTC)


def soon(ahead: timedelta = timedelta()) -> str:
    """Two seconds from now, on a clock that is so far ahead."""
    return (datetime.now(UTC) + ahead + timedelta(seconds=2)).isoformat()


@pytest.mark.parametrize("point", ["dispatching", "feeding"])
def test_the_leader_dies_while_it_starts(make_scene: MakeScene, point: str) -> None:
    """Between the claim of an action and its message, or behind that: it is started all the same."""
    scene = make_scene(rows=5_000)
    doomed = scene.worker(inject={"kill": {"point": point, "nth": 1}})
    action = doomed.submit(scene.file, scheduledAt=soon())
    doomed.wait_dead()
    scene.struck()
    successor = scene.worker()
    scene.assert_exact(successor, action)
    history = [entry["status"] for entry in successor.action(action)["history"]]
    assert history == ["SCHEDULED", "QUEUED", "PROCESSING", "COMPLETED"]


@pytest.mark.parametrize(
    "faults",
    [
        {"kill": {"point": "dispatching", "nth": 1}},
        {"kill": {"point": "written", "nth": 20}, "drop": {"one_in": 5}},
    ],
    ids=["before its start", "under way"],
)
def test_the_clock_goes_back(make_scene: MakeScene, faults: dict[str, dict[str, Any]]) -> None:
    """The leader's clock is an hour ahead, and it dies; what it has written does not hold up the next one."""
    scene = make_scene(rows=20_000)
    doomed = scene.worker(inject={"clock_ahead": {"seconds": HOUR.total_seconds()}, **faults})
    action = doomed.submit(scene.file, scheduledAt=soon(HOUR))
    doomed.wait_dead()
    scene.struck()
    scene.assert_exact(scene.worker(), action)


def due(scene: Scene, template: dict[str, Any], at: datetime) -> Iterator[dict[str, Any]]:
    """Scheduled actions like another one, each of an account of its own, so that nobody's records are another's."""
    for number in range(MANY):
        yield {
            **template,
            "_id": new_action_id(),
            "accountId": f"a{number}",
            "status": "SCHEDULED",
            "scheduledAt": at,
            "createdAt": LAST if number >= MANY - RUN else template["createdAt"],
            "history": [],
        }


def test_ten_thousand_are_due_at_once(make_scene: MakeScene) -> None:
    """Two dispatchers, both of which believe that they lead, start each of them once, within seconds."""
    scene = make_scene(rows=4, REQUEUE_AFTER="300", STALL_TIMEOUT="120", CLAIMS_RELEASE_AFTER="600")
    scene.sample = Sample(4, seed=3)
    scene.expected = scene.sample.write(scene.file)
    first = scene.worker(inject={"everybody_leads": {}})
    template_id = first.submit(scene.file, scheduledAt="2100-01-01T00:00:00Z")
    with pymongo.MongoClient[dict[str, Any]](scene.environment["MONGO_DB_URI"], tz_aware=True) as client:
        actions = client.get_default_database()["bulk_operations"]
        template = actions.find_one({"_id": template_id})
        assert template is not None
        scene.worker(inject={"everybody_leads": {}})
        at = datetime.now(UTC) + timedelta(seconds=20)
        made = list(due(scene, template, at))
        actions.insert_many(made)
        assert datetime.now(UTC) < at, "they were not stored in time"
        wait_for(lambda: datetime.now(UTC) >= at, "the time has come")
        began = time.monotonic()
        waiting = {"status": "SCHEDULED", "scheduledAt": at}
        wait_for(lambda: not actions.count_documents(waiting), "all are started", timeout=240, pause=0.5)
        scene.figures.recoveries.append((scene.name, time.monotonic() - began))
        # That they were started was to be seen; running all of them would take minutes.
        spared = {"scheduledAt": at, "status": "QUEUED", "_id": {"$in": [action["_id"] for action in made[:-RUN]]}}
        actions.update_many(spared, {"$set": {"status": "CANCELLED"}})
        running = {"scheduledAt": at, "status": {"$nin": ["COMPLETED", "CANCELLED"]}}
        wait_for(lambda: not actions.count_documents(running), "all have ended", timeout=400, pause=2)
        run = 0
        for action in actions.find({"scheduledAt": at}):
            assert action["dispatchAttempts"] == 1
            history = [entry["status"] for entry in action["history"]]
            if action["status"] == "CANCELLED":
                assert history == ["QUEUED"]
                continue
            run += 1
            assert history == ["QUEUED", "PROCESSING", "COMPLETED"]
            assert {name: action[name] for name in scene.expected.counts()} == scene.expected.counts()
        assert run >= RUN
        records = client.get_default_database()["contacts"].count_documents({})
        assert records == run * scene.expected.success
    assert_verified(scene.environment, since=LAST)
