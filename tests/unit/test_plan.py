"""The plan of a chunk: decided once, and followed by whoever runs the chunk again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.operations import OPERATIONS, find_operation
from app.domain.operations.operation import Decision, Operation, Presence
from app.domain.operations.plan import (
    ChunkPlan,
    Result,
    Step,
    StoredRecord,
    Write,
    decide,
    first_steps,
    late_decision,
    next_step,
)
from tests.support.clocks import PAST

OPERATION = OPERATIONS["BULK_UPDATE"]
EVERY_OPERATION = st.sampled_from(list(OPERATIONS.values()))
ME, OTHER = "a" * 24, "b" * 24
ROW = 7
VALUES = {"id": "1", "name": "N"}
PRESENCES = st.sampled_from(Presence)
RECORDS = st.none() | st.builds(StoredRecord, st.booleans(), st.booleans(), st.booleans(), st.booleans())


def record(
    name: str = "N", *, by: str = OTHER, row: int = 1, minutes: int = -5, made_by: str = OTHER
) -> dict[str, Any]:
    """A contact that an action, which started so many minutes after ours, was the last to write."""
    tag = {"actionId": by, "row": row, "startedAt": PAST + timedelta(minutes=minutes)}
    return {"_id": "a:1", "id": "1", "name": name, "_bulk": tag, "createdBy": made_by}


def seen(stored: Mapping[str, Any] | None) -> StoredRecord | None:
    """The record as our row sees it."""
    if stored is None:
        return None
    differing = frozenset({"name"} if presence(stored) == Presence.DIFFERENT else ())
    return of(stored["_bulk"], made_by=stored["createdBy"], differing=differing)


def of(tag: Mapping[str, Any], *, made_by: str = OTHER, fields: str = "id name", differing: Any = ()) -> StoredRecord:
    """A record as our row sees it that says something of some fields."""
    return StoredRecord.of(
        tag,
        made_by,
        fields=fields.split(),
        differing=frozenset(differing),
        action_id=ME,
        row=ROW,
        started_at=PAST,
    )


def presence(stored: Mapping[str, Any] | None) -> Presence:
    if stored is None:
        return Presence.ABSENT
    return Presence.SAME if stored["name"] == VALUES["name"] else Presence.DIFFERENT


def write(step: Step, stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """Carry out a step of our row."""
    if step.write == Write.DELETE:
        return None
    if step.write == Write.NOTHING:
        return stored
    assert (step.write == Write.INSERT) == (stored is None)
    made_by = ME if stored is None else stored["createdBy"]
    return record(by=ME, row=ROW, made_by=made_by)


def test_operations_have_the_names_of_the_api() -> None:
    """Each action type is found by its name and by no other."""
    assert {name: operation.name for name, operation in OPERATIONS.items()} == {name: name for name in OPERATIONS}
    assert find_operation("BULK_UPDATE") is OPERATION
    assert find_operation("bulk_update") is None


def test_numbers_of_decisions_stay() -> None:
    """The ledger has these numbers: none ever gets another meaning."""
    assert [(decision.name, int(decision)) for decision in Decision] == [
        ("NONE", 0),
        ("INSERT", 1),
        ("UPDATE", 2),
        ("UNCHANGED", 3),
        ("DELETE", 4),
        ("ALREADY_EXISTS", 5),
        ("NOT_FOUND", 6),
    ]


@pytest.mark.parametrize(
    ("name", "absent", "same", "different"),
    [
        ("BULK_UPDATE", Result.CREATED, Result.UNCHANGED, Result.UPDATED),
        ("BULK_CREATE", Result.CREATED, Result.ALREADY_EXISTS, Result.ALREADY_EXISTS),
        ("BULK_PATCH", Result.NOT_FOUND, Result.UNCHANGED, Result.UPDATED),
        ("BULK_DELETE", Result.NOT_FOUND, Result.DELETED, Result.DELETED),
    ],
)
def test_what_an_action_type_does(name: str, absent: Result, same: Result, different: Result) -> None:
    """What a row comes to whose record is absent, the same or different, and what is there of it then."""
    for stored, result in ((None, absent), (record(), same), (record("Other"), different)):
        decision = OPERATIONS[name].decide(presence(stored))
        [first_write], [first_result] = first_steps(np.array([decision]))
        assert first_result == result
        after = write(Step(Write(first_write), Result(first_result)), stored)
        if result in (Result.CREATED, Result.UPDATED):
            assert after is not None
            assert after["_bulk"]["actionId"] == ME
        else:
            assert after == (None if result == Result.DELETED else stored)


@given(EVERY_OPERATION, st.lists(PRESENCES))
def test_rows_are_decided_one_by_one(operation: Operation, cases: list[Presence]) -> None:
    """A chunk is decided as each of its rows is."""
    decisions = decide(operation, np.array(cases, np.uint8))
    assert decisions.tolist() == [operation.decide(case) for case in cases]
    writes, results = first_steps(decisions)
    steps = [Step(Write(w), Result(r)) for w, r in zip(writes, results, strict=True)]
    states = {Presence.ABSENT: None, Presence.SAME: record(), Presence.DIFFERENT: record("Other")}
    assert steps == [next_step(operation, operation.decide(case), seen(states[case])) for case in cases]


@given(st.lists(st.sampled_from(Decision), max_size=50), st.integers(1, 2**32))
def test_plan_round_trip(decisions: list[Decision], first_row: int) -> None:
    """A plan survives the ledger, and says of each row what is done with it."""
    rows = [first_row + offset for offset, decision in enumerate(decisions) if decision]
    plan = ChunkPlan.of(len(decisions), first_row, rows, [decision for decision in decisions if decision])
    again = ChunkPlan.unpack(plan.pack())
    assert again == plan
    everything = range(first_row, first_row + len(decisions))
    assert again.of_rows(everything, first_row).tolist() == decisions
    assert again.owning(first_row) == set(rows)
    for decision in Decision:
        wanted = {first_row + offset for offset, each in enumerate(decisions) if each == decision}
        assert again.having(decision, first_row) == wanted


def test_plan_is_small() -> None:
    """The plan of a chunk of the largest size takes a few octets where its rows are alike."""
    assert len(ChunkPlan.of(10_000, 1, range(1, 10_001), [Decision.INSERT] * 10_000).pack()) < 100


FIRST = st.sampled_from([None, record(), record("Other"), record(minutes=5), record("Other", minutes=5)])
#: What others do to the record between two runs of our row, in turn.
MEANWHILE = st.lists(st.sampled_from(["a newer action", "an older action", "deleted", "made anew"]), max_size=3)
FAILED = (Result.ALREADY_EXISTS, Result.NOT_FOUND)


def happen(events: list[str], stored: dict[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """Let others have their way with a record; whether it has been another one since."""
    another = False
    for event in events:
        if event == "deleted":
            stored, another = None, True
        elif event == "made anew" and stored is None:
            stored = record("Theirs", minutes=60, made_by="c" * 24, by="c" * 24)
        elif stored is not None and event.endswith("action"):
            minutes = 60 if event == "a newer action" else -60
            stored = record("Theirs", minutes=minutes, made_by=stored["createdBy"])
    return stored, another


@given(EVERY_OPERATION, FIRST, st.booleans(), MEANWHILE, st.integers(1, 3))
def test_runs_again_tell_the_same(
    operation: Operation, stored: dict[str, Any] | None, written: bool, meanwhile: list[str], runs: int
) -> None:
    """However often a planned row is run, and whatever others write, it tells the same; a newer word stands."""
    decision = operation.decide(presence(stored))
    [first_write], [first_result] = first_steps(np.array([decision]))
    told = Result(first_result)
    if written:
        stored = write(Step(Write(first_write), told), stored)
    stored, another = happen(meanwhile, stored)
    theirs = stored
    steps = []
    for _ in range(runs):
        steps.append(next_step(operation, decision, seen(stored)))
        stored = write(steps[-1], stored)
    assert len({step.result for step in steps}) == 1, "a row that is run again has another outcome"
    assert all(step.write == Write.NOTHING for step in steps[1:]), "a row that is done is written again"
    result = steps[0].result
    if told in (Result.DELETED, Result.UNCHANGED, *FAILED):
        assert result == told, "a row that leaves no tag has no word but its plan's"
    elif not another and (theirs is None) == (told == Result.CREATED and not written):
        assert result == told
    if theirs is not None and theirs["_bulk"]["startedAt"] > PAST:
        assert stored == theirs, "what a newer action has written was not left alone"
    elif result == Result.DELETED:
        assert stored is None
    if result in FAILED:
        assert stored == theirs


@pytest.mark.parametrize(
    ("stored", "write"),
    [
        (None, Write.NOTHING),
        (record(), Write.DELETE),
        (record("Other"), Write.DELETE),
        (record("Theirs", minutes=-60), Write.DELETE),
        (record("Theirs", minutes=60), Write.NOTHING),
        (record("Theirs", by="b" * 24, minutes=0), Write.NOTHING),
    ],
)
def test_deletion_that_is_repeated(stored: dict[str, Any] | None, write: Write) -> None:
    """A row stays DELETED; what is there again is deleted, unless an action wrote it that started later."""
    step = next_step(OPERATIONS["BULK_DELETE"], Decision.DELETE, seen(stored))
    assert step == Step(write, Result.DELETED)


@pytest.mark.parametrize(
    ("tag", "fields", "differing", "newer", "left_alone"),
    [
        # An action that wrote all fields of the record, and one that wrote all of the row's.
        ({}, "id name", ["name"], True, []),
        ({"fields": ["id", "name", "status"]}, "id name", ["name"], True, []),
        # One that wrote another field: what it did not write is still to be written, if it differs.
        ({"fields": ["id", "status"]}, "id name", ["name"], False, ["id"]),
        ({"fields": ["id", "status"]}, "id name", [], True, []),
        ({"fields": ["id", "status"]}, "id name status", ["name", "status"], False, ["id", "status"]),
        ({"fields": ["id", "status"]}, "id name status", ["status"], True, []),
        # A deletion is about the whole record.
        ({}, "", [], True, []),
        ({"fields": ["id", "status"]}, "", [], True, []),
    ],
)
def test_newer_word_on_some_fields(
    tag: dict[str, Any], fields: str, differing: list[str], newer: bool, left_alone: list[str]
) -> None:
    """Of what a newer action has written, the fields that it names are left alone, and no others."""
    theirs = {**record(minutes=5)["_bulk"], **tag}
    stored = of(theirs, fields=fields, differing=differing)
    assert (stored.newer, stored.left_alone) == (newer, frozenset(left_alone))
    older = of({**theirs, **record(minutes=-5)["_bulk"]}, fields=fields, differing=differing)
    assert (older.newer, older.left_alone) == (False, frozenset())


def test_creation_writes_over_nothing() -> None:
    """A record that a creation found, or made and an older action has changed since, is never written again."""
    create = OPERATIONS["BULK_CREATE"]
    assert next_step(create, Decision.INSERT, seen(record())) == Step(Write.NOTHING, Result.ALREADY_EXISTS)
    made = seen(record("Theirs", minutes=-60, made_by=ME))
    assert next_step(create, Decision.INSERT, made) == Step(Write.NOTHING, Result.CREATED)


@given(EVERY_OPERATION, st.sampled_from(["UNCHANGED", "ALREADY_EXISTS", "NOT_FOUND"]), RECORDS)
def test_idle_rows_are_never_written(operation: Operation, name: str, stored: StoredRecord | None) -> None:
    """A row that was to do nothing stays what it was, and leaves alone what is there."""
    assert next_step(operation, Decision[name], stored) == Step(Write.NOTHING, Result[name])


DECIDED = EVERY_OPERATION.flatmap(
    lambda operation: st.tuples(
        st.just(operation),
        st.sampled_from([Decision.NONE, operation.absent, operation.same, operation.different]),
    )
)


@given(DECIDED, RECORDS)
def test_newer_word_is_left_alone(decided: tuple[Operation, Decision], stored: StoredRecord | None) -> None:
    """What is there of a newer action, or of the row itself, is never written again."""
    operation, decision = decided
    step = next_step(operation, decision, stored)
    # A row that deletes is never the last to have written its record.
    done = stored is not None and (stored.newer or (stored.written_here and not operation.key_only))
    if done and decision != Decision.INSERT:
        assert step.write == Write.NOTHING
    if step.write == Write.INSERT:
        assert stored is None


@given(st.sampled_from(Decision), RECORDS)
def test_created_is_who_made_it(decision: Decision, stored: StoredRecord | None) -> None:
    """A row is CREATED when its action made the record or is about to, unless it was to do something else."""
    step = next_step(OPERATION, decision, stored)
    if step.result in (Result.CREATED, Result.UPDATED):
        assert (step.result == Result.CREATED) == (stored is None or stored.created_here)


def test_record_made_meanwhile_is_decided_anew() -> None:
    """A row that was to make a record which somebody else has made is decided by what that one is like."""
    same, other, newer = seen(record()), seen(record("Other")), seen(record("Other", minutes=5))
    assert next_step(OPERATION, Decision.INSERT, same) == Step(Write.NOTHING, Result.UNCHANGED)
    assert next_step(OPERATION, Decision.INSERT, other) == Step(Write.UPDATE, Result.UPDATED)
    assert next_step(OPERATION, Decision.INSERT, newer) == Step(Write.NOTHING, Result.UPDATED)


def test_vanished_record_is_made() -> None:
    """A row whose record was deleted meanwhile makes it, unless it may only change what is there."""
    assert next_step(OPERATION, Decision.UPDATE, None) == Step(Write.INSERT, Result.CREATED)
    assert next_step(OPERATIONS["BULK_PATCH"], Decision.UPDATE, None) == Step(Write.NOTHING, Result.NOT_FOUND)


LATE = {
    "absent": (None, "INSERT", "INSERT", "NOT_FOUND", "NOT_FOUND"),
    "made here": (record(by=ME, row=ROW, made_by=ME), "INSERT", "INSERT", None, None),
    "made here, changed since": (record("Theirs", minutes=5, made_by=ME), "INSERT", "INSERT", None, None),
    "written here": (record(by=ME, row=ROW), "UPDATE", None, "UPDATE", None),
    "newer": (record("Theirs", minutes=5), "UPDATE", "ALREADY_EXISTS", "UPDATE", "DELETE"),
    "same": (record(), "UNCHANGED", "ALREADY_EXISTS", "UNCHANGED", "DELETE"),
    "different": (record("Other"), "UPDATE", "ALREADY_EXISTS", "UPDATE", "DELETE"),
}


@pytest.mark.parametrize("kind", LATE)
def test_chunk_without_a_plan(kind: str) -> None:
    """A chunk that was begun and has no plan is decided by what is there; tags tell what version 0.1 has written."""
    stored, *decisions = LATE[kind]
    for name, decision in zip(OPERATIONS, decisions, strict=True):
        if decision is not None:
            assert late_decision(OPERATIONS[name], seen(stored)) == Decision[decision]


def test_other_operations_fit() -> None:
    """An action type is three decisions, and the rules of a run that is repeated follow from them."""
    only_changes = Operation(
        "X", "does little", absent=Decision.UNCHANGED, same=Decision.UNCHANGED, different=Decision.UPDATE
    )
    assert next_step(only_changes, Decision.UPDATE, None) == Step(Write.NOTHING, Result.UNCHANGED)
