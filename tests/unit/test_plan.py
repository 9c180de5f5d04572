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
    return None if stored is None else StoredRecord.of(stored, VALUES, action_id=ME, row=ROW, started_at=PAST)


def presence(stored: Mapping[str, Any] | None) -> Presence:
    if stored is None:
        return Presence.ABSENT
    return Presence.SAME if stored["name"] == VALUES["name"] else Presence.DIFFERENT


def write(step: Step, stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """Carry out a step of our row."""
    if step.write == Write.NOTHING:
        return stored
    made_by = ME if stored is None else stored["createdBy"]
    return record(by=ME, row=ROW, made_by=made_by)


def test_operations_have_the_names_of_the_api() -> None:
    """Each action type is found by its name and by no other."""
    assert {name: operation.name for name, operation in OPERATIONS.items()} == {name: name for name in OPERATIONS}
    assert find_operation("BULK_UPDATE") is OPERATION
    assert find_operation("bulk_update") is None


@pytest.mark.parametrize(
    ("stored", "decision"),
    [(None, Decision.INSERT), (record(), Decision.UNCHANGED), (record("Other"), Decision.UPDATE)],
)
def test_bulk_update(stored: dict[str, Any] | None, decision: Decision) -> None:
    """BULK_UPDATE makes what is absent, changes what differs, and leaves alone what is the same."""
    assert OPERATION.decide(presence(stored)) == decision


@given(st.lists(PRESENCES))
def test_rows_are_decided_one_by_one(cases: list[Presence]) -> None:
    """A chunk is decided as each of its rows is."""
    decisions = decide(OPERATION, np.array(cases, np.uint8))
    assert decisions.tolist() == [OPERATION.decide(case) for case in cases]
    writes, results = first_steps(decisions)
    steps = [Step(Write(w), Result(r)) for w, r in zip(writes, results, strict=True)]
    states = {Presence.ABSENT: None, Presence.SAME: record(), Presence.DIFFERENT: record("Other")}
    assert steps == [next_step(OPERATION, OPERATION.decide(case), seen(states[case])) for case in cases]


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


def test_plan_is_small() -> None:
    """The plan of a chunk of the largest size takes a few octets where its rows are alike."""
    assert len(ChunkPlan.of(10_000, 1, range(1, 10_001), [Decision.INSERT] * 10_000).pack()) < 100


FIRST = st.sampled_from([None, record(), record("Other"), record(minutes=5), record("Other", minutes=5)])
#: What others do to the record between two runs of our row.
MEANWHILE = st.sampled_from(["nothing", "a newer action", "an older action"])


@given(FIRST, st.booleans(), MEANWHILE, st.integers(1, 3))
def test_runs_again_tell_the_same(stored: dict[str, Any] | None, written: bool, meanwhile: str, runs: int) -> None:
    """However often a planned row is run, and whatever others write, it tells the same; a newer word stands."""
    decision = OPERATION.decide(presence(stored))
    [first_write], [first_result] = first_steps(np.array([decision]))
    told = Result(first_result)
    if written:
        stored = write(Step(Write(first_write), told), stored)
    if stored is not None and meanwhile != "nothing":
        minutes = 60 if meanwhile == "a newer action" else -60
        stored = record("Theirs", minutes=minutes, made_by=stored["createdBy"])
    theirs = stored
    for _ in range(runs):
        step = next_step(OPERATION, decision, seen(stored))
        assert step.result == told
        stored = write(step, stored)
    if theirs is not None and meanwhile == "a newer action":
        assert stored == theirs


@given(RECORDS)
def test_unchanged_rows_are_never_written(stored: StoredRecord | None) -> None:
    """A row that found its record as it was stays UNCHANGED, and leaves alone what is there."""
    assert next_step(OPERATION, Decision.UNCHANGED, stored) == Step(Write.NOTHING, Result.UNCHANGED)


@given(st.sampled_from(Decision), RECORDS)
def test_newer_word_is_left_alone(decision: Decision, stored: StoredRecord | None) -> None:
    """What is there of a newer action, or of the row itself, is never written again."""
    step = next_step(OPERATION, decision, stored)
    if stored is not None and (stored.newer or stored.written_here) and decision in (Decision.UPDATE, Decision.NONE):
        assert step.write == Write.NOTHING
    if step.write == Write.INSERT:
        assert stored is None


@given(st.sampled_from(Decision), RECORDS)
def test_created_is_who_made_it(decision: Decision, stored: StoredRecord | None) -> None:
    """A row is CREATED when its action made the record or is about to, unless it was UNCHANGED."""
    step = next_step(OPERATION, decision, stored)
    if decision != Decision.UNCHANGED and step.result != Result.UNCHANGED:
        assert (step.result == Result.CREATED) == (stored is None or stored.created_here)


def test_record_made_meanwhile_is_decided_anew() -> None:
    """A row that was to make a record which somebody else has made is decided by what that one is like."""
    same, other, newer = seen(record()), seen(record("Other")), seen(record("Other", minutes=5))
    assert next_step(OPERATION, Decision.INSERT, same) == Step(Write.NOTHING, Result.UNCHANGED)
    assert next_step(OPERATION, Decision.INSERT, other) == Step(Write.UPDATE, Result.UPDATED)
    assert next_step(OPERATION, Decision.INSERT, newer) == Step(Write.NOTHING, Result.UPDATED)


def test_vanished_record_is_made() -> None:
    """A row whose record was deleted meanwhile makes it."""
    assert next_step(OPERATION, Decision.UPDATE, None) == Step(Write.INSERT, Result.CREATED)


@pytest.mark.parametrize(
    ("stored", "decision"),
    [
        (None, Decision.INSERT),
        (record(by=ME, row=ROW, made_by=ME), Decision.INSERT),
        (record("Theirs", minutes=5, made_by=ME), Decision.INSERT),
        (record(by=ME, row=ROW), Decision.UPDATE),
        (record("Theirs", minutes=5), Decision.UPDATE),
        (record(), Decision.UNCHANGED),
        (record("Other"), Decision.UPDATE),
    ],
)
def test_chunk_without_a_plan(stored: dict[str, Any] | None, decision: Decision) -> None:
    """A chunk that an older version began has no plan: the tags tell what it has written."""
    assert late_decision(OPERATION, seen(stored)) == decision


def test_other_operations_fit() -> None:
    """An action type is three decisions, and the rules of a run that is repeated follow from them."""
    only_changes = Operation("X", absent=Decision.UNCHANGED, same=Decision.UNCHANGED, different=Decision.UPDATE)
    assert next_step(only_changes, Decision.UPDATE, None) == Step(Write.NOTHING, Result.UNCHANGED)
