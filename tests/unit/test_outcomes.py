"""Counts and row outcomes: the arithmetic on which every total rests."""

from __future__ import annotations

import json
from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome

NUMBERS = st.integers(0, 10**12)
COUNTS = st.builds(Counts, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
TEXT = st.text(max_size=20)
OUTCOMES = st.builds(
    RowOutcome,
    st.integers(1, 10**9),
    st.sampled_from(["FAILED", "SKIPPED"]),
    st.sampled_from(["DUPLICATE", "REQUIRED", "WRITE_REFUSED"]),
    TEXT,
    st.none() | TEXT,
    st.none() | st.integers(1, 10**9),
)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_add_up_in_any_order(a: Counts, b: Counts, c: Counts) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Counts() == a
    assert astuple(a + b) == tuple(x + y for x, y in zip(astuple(a), astuple(b), strict=True))


@given(COUNTS, COUNTS)
def test_what_is_added_can_be_taken_away(a: Counts, b: Counts) -> None:
    assert a + b - b == a
    assert a - a == Counts()


@given(COUNTS, COUNTS)
def test_processed_is_success_failure_and_skipped_and_adds_up_as_well(a: Counts, b: Counts) -> None:
    assert a.processed == a.success + a.failure + a.skipped
    assert (a + b).processed == a.processed + b.processed


@given(COUNTS)
def test_counts_survive_storage_under_the_names_of_the_api(counts: Counts) -> None:
    document = counts.to_document()
    assert Counts.from_document(json.loads(json.dumps(document))) == counts
    assert document == {
        "processedCount": counts.processed,
        "successCount": counts.success,
        "failureCount": counts.failure,
        "skippedCount": counts.skipped,
        "duplicateCount": counts.duplicate,
        "createdCount": counts.created,
        "updatedCount": counts.updated,
    }


def test_what_a_document_does_not_count_is_zero_and_what_else_it_has_is_ignored() -> None:
    assert Counts.from_document({}) == Counts()
    assert Counts.from_document({"failureCount": 2, "status": "QUEUED"}) == Counts(failure=2)


@given(st.lists(OUTCOMES), NUMBERS, NUMBERS)
def test_counting_a_chunk_gives_each_row_one_place(exceptions: list[RowOutcome], created: int, updated: int) -> None:
    counts = Counts.of(iter(exceptions), created=created, updated=updated)
    assert counts.processed == created + updated + len(exceptions)
    assert counts.success == counts.created + counts.updated == created + updated
    assert counts.failure == sum(outcome.status == "FAILED" for outcome in exceptions)
    assert counts.skipped == sum(outcome.status == "SKIPPED" for outcome in exceptions)
    skipped = [outcome for outcome in exceptions if outcome.status == "SKIPPED"]
    assert counts.duplicate == sum(outcome.code == "DUPLICATE" for outcome in skipped) <= counts.skipped


@given(st.lists(OUTCOMES), st.lists(OUTCOMES), st.integers(0, 99), st.integers(0, 99))
def test_counts_of_parts_add_up_to_counts_of_the_whole(
    left: list[RowOutcome], right: list[RowOutcome], created: int, updated: int
) -> None:
    whole = Counts.of(left + right, created=created, updated=updated)
    assert Counts.of(left, created=created, updated=0) + Counts.of(right, created=0, updated=updated) == whole


@given(OUTCOMES)
def test_a_row_outcome_survives_storage(outcome: RowOutcome) -> None:
    document = outcome.to_document()
    assert RowOutcome.from_document(document) == outcome
    assert None not in document.values()


def test_a_row_outcome_is_stored_without_what_it_does_not_have() -> None:
    assert RowOutcome(3, "FAILED", "REQUIRED", "name is empty.", "name").to_document() == {
        "row": 3,
        "status": "FAILED",
        "code": "REQUIRED",
        "message": "name is empty.",
        "column": "name",
    }


@st.composite
def chunk_outcomes(draw: st.DrawFn) -> ChunkOutcome:
    rows = draw(st.integers(0, 70))
    created = draw(st.integers(0, (1 << rows) - 1))
    return ChunkOutcome(draw(st.integers(1, 10**9)), rows, draw(COUNTS), draw(st.lists(OUTCOMES)), created)


@given(chunk_outcomes())
def test_the_outcome_of_a_chunk_survives_storage(outcome: ChunkOutcome) -> None:
    document = outcome.to_document()
    assert ChunkOutcome.from_document(document) == outcome
    assert len(document["created"]) == (outcome.row_count + 7) // 8
