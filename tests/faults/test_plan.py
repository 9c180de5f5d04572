"""Workers that die between each two steps of a chunk: each row tells what its record was before the first of them."""

from __future__ import annotations

from typing import Any

import pymongo
import pytest

from tests.support.clocks import PAST
from tests.support.scenes import MakeScene, Scene

pytestmark = pytest.mark.timeout(600)

#: Between each two steps of a chunk.
POINTS = ("claimed", "compared", "planned", "written", "closed")
#: What the records are before the file comes, in turn, and what their rows must come to.
KINDS = {
    "new": ("absent",),
    "changed": ("different",),
    "unchanged": ("same",),
    "mixed": ("absent", "different", "same", "same", "different"),
}
RESULTS = {"absent": "createdCount", "different": "updatedCount", "same": "unchangedCount"}


def seed(scene: Scene, states: tuple[str, ...]) -> dict[str, int]:
    """Store the records as they are to be before; return the counts that the file must have."""
    expected = dict.fromkeys(RESULTS.values(), 0)
    documents: list[dict[str, Any]] = []
    tag = {"actionId": "0" * 24, "row": 1, "startedAt": PAST, "status": "SUCCESS", "at": PAST}
    for number, (key, (name, email, status)) in enumerate(scene.sample.records().items()):
        state = states[number % len(states)]
        expected[RESULTS[state]] += 1
        if state != "absent":
            fields = {"id": key, "name": name if state == "same" else "Before", "email": email, "status": status}
            made = {"_id": f"default:{key}", "accountId": "default", **fields, "_bulk": tag, "createdBy": "0" * 24}
            documents.append(made)
    if documents:
        with pymongo.MongoClient[Any](scene.environment["MONGO_DB_URI"]) as client:
            client.get_default_database()["contacts"].insert_many(documents)
    return expected


@pytest.mark.parametrize("kind", KINDS)
def test_deaths_between_the_steps(make_scene: MakeScene, kind: str) -> None:
    """One worker after the other dies, each after another step; new, changed and unchanged rows are told as such."""
    scene = make_scene(rows=20_000)
    expected = seed(scene, KINDS[kind])
    action = ""
    for point in POINTS:
        if point == "written" and kind == "unchanged":
            continue  # nothing is
        doomed = scene.worker(inject={"kill": {"point": point, "nth": 3}})
        action = action or doomed.submit(scene.file)
        doomed.wait_dead()
    scene.struck()
    successor = scene.worker()
    scene.assert_exact(successor, action)
    ended = successor.action(action)
    assert {name: ended[name] for name in expected} == expected
