"""Workers that die between each two steps of a chunk: each row tells what its record was before the first of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest

from tests.support.assertions import assert_histories, assert_verified
from tests.support.clocks import PAST
from tests.support.files import contacts_csv
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


def document(key: str, name: str, email: str, status: str) -> dict[str, Any]:
    """A record that an action of long ago has made."""
    tag = {"actionId": "0" * 24, "row": 1, "startedAt": PAST, "status": "SUCCESS", "at": PAST}
    fields = {"id": key, "name": name, "email": email, "status": status}
    return {"_id": f"default:{key}", "accountId": "default", **fields, "_bulk": tag, "createdBy": "0" * 24}


def store(scene: Scene, documents: list[dict[str, Any]]) -> None:
    if documents:
        with pymongo.MongoClient[Any](scene.environment["MONGO_DB_URI"]) as client:
            client.get_default_database()["contacts"].insert_many(documents)


def seed(scene: Scene, states: tuple[str, ...]) -> dict[str, int]:
    """Store the records as they are to be before; return the counts that the file must have."""
    expected = dict.fromkeys(RESULTS.values(), 0)
    documents: list[dict[str, Any]] = []
    for number, (key, (name, email, status)) in enumerate(scene.sample.records().items()):
        state = states[number % len(states)]
        expected[RESULTS[state]] += 1
        if state != "absent":
            documents.append(document(key, name if state == "same" else "Before", email, status))
    store(scene, documents)
    return expected


def die_at_each_step(scene: Scene, *, without: str = "", **fields: str) -> str:
    """Submit the scene's file; one worker after the other dies, each after another step. Return the action."""
    action = ""
    for point in POINTS:
        if point != without:
            # What is left of the action is done at once, and the worker perhaps dead before it says that it is ready.
            doomed = scene.worker(inject={"kill": {"point": point, "nth": 3}}, wait=not action)
            action = action or doomed.submit(scene.file, **fields)
            doomed.wait_dead()
    scene.struck()
    return action


@pytest.mark.parametrize("kind", KINDS)
def test_deaths_between_the_steps(make_scene: MakeScene, kind: str) -> None:
    """One worker after the other dies, each after another step; new, changed and unchanged rows are told as such."""
    scene = make_scene(rows=20_000)
    expected = seed(scene, KINDS[kind])
    # Where all is unchanged, nothing is written.
    action = die_at_each_step(scene, without="written" if kind == "unchanged" else "")
    successor = scene.worker()
    scene.assert_exact(successor, action)
    ended = successor.action(action)
    assert {name: ended[name] for name in expected} == expected


# The other action types

ROWS = 10_000
#: What a record is before, in turn.
STATES = ("absent", "different", "same", "absent", "different", "same", "same")
COLUMNS = {
    "BULK_CREATE": ("id", "name", "email", "status"),
    "BULK_PATCH": ("id", "name", "email"),
    "BULK_DELETE": ("id", "note"),
}
#: What a row comes to, by what its record is before.
OUTCOMES = {
    "BULK_CREATE": {"absent": "CREATED", "same": "ALREADY_EXISTS", "different": "ALREADY_EXISTS"},
    "BULK_PATCH": {"absent": "NOT_FOUND", "same": "UNCHANGED", "different": "UPDATED"},
    "BULK_DELETE": {"absent": "NOT_FOUND", "same": "DELETED", "different": "DELETED"},
}
COUNTS = {
    "CREATED": "createdCount",
    "UPDATED": "updatedCount",
    "UNCHANGED": "unchangedCount",
    "DELETED": "deletedCount",
}


def rows_of(action_type: str) -> Iterator[tuple[int, str, str]]:
    """The rows of a file: the number of the record, the row, and what is wrong with it, if anything is.

    Each fiftieth row is not valid, each fortieth repeats the row 2001 rows before it. In a patch every other email is
    left out, so that rows set different fields.
    """
    for number in range(ROWS):
        of = number - 2001 if number > 2001 and number % 40 == 7 else number
        fields = {"id": f"t{of}", "name": f"Name {of}", "email": f"t{of}@x.example", "status": "active", "note": "x"}
        if action_type == "BULK_PATCH" and of % 2:
            fields["email"] = ""
        wrong = of % 50 == 3
        yield (
            of,
            ",".join("" if wrong and name == "id" else fields[name] for name in COLUMNS[action_type]),
            ("REQUIRED" if wrong else "" if of == number else "DUPLICATE"),
        )


def expected_of(action_type: str) -> tuple[list[dict[str, Any]], Counter[str], dict[str, str]]:
    """What is there before, how many rows come to what, and the names that are there afterwards."""
    before: list[dict[str, Any]] = []
    codes: Counter[str] = Counter()
    names: dict[str, str] = {}
    for number, _, wrong in rows_of(action_type):
        state = STATES[number % len(STATES)]
        code = wrong or OUTCOMES[action_type][state]
        codes[code] += 1
        if wrong == "DUPLICATE":
            continue
        key, name = f"t{number}", f"Name {number}"
        if state != "absent":
            names[key] = name if state == "same" else "Before"
            before.append(document(key, names[key], f"{key}@x.example", "active"))
        if code == "DELETED":
            del names[key]
        elif code in ("CREATED", "UPDATED"):
            names[key] = name
    return before, codes, names


@pytest.mark.parametrize("action_type", OUTCOMES)
def test_deaths_in_other_types(make_scene: MakeScene, action_type: str) -> None:
    """The same with files that create, patch and delete: rows and records come to what the records were before."""
    scene = make_scene(rows=1)
    scene.file.write_bytes(contacts_csv(*(row for _, row, _ in rows_of(action_type)), columns=COLUMNS[action_type]))
    before, codes, names = expected_of(action_type)
    store(scene, before)
    action = die_at_each_step(scene, actionType=action_type)
    successor = scene.worker()
    ended = successor.wait_ended(action)
    assert ended["status"] == "COMPLETED"
    assert {name: ended[name] for name in COUNTS.values()} == {name: codes[code] for code, name in COUNTS.items()}
    assert ended["skippedCount"] == codes["DUPLICATE"]
    assert ended["failureCount"] == sum(codes[code] for code in ("REQUIRED", "ALREADY_EXISTS", "NOT_FOUND"))
    rows = successor.records(action)
    assert Counter(row["code"] for row in rows) == codes
    with pymongo.MongoClient[Any](scene.environment["MONGO_DB_URI"]) as client:
        found = client.get_default_database()["contacts"].find(batch_size=10_000)
        assert {contact["id"]: contact["name"] for contact in found} == names
    assert_verified(scene.environment, action)
    assert_histories(successor, action, scene.file, rows)
