"""Counts and row outcomes: the arithmetic on which every total rests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import astuple, replace

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outcome_entries import duplicate_of, failed_at_record
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.domain.packed_exceptions import derivable

NUMBERS = st.integers(0, 10**12)
COUNTS = st.builds(Counts, *[NUMBERS] * 8)
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
def test_processed_is_the_sum(a: Counts, b: Counts) -> None:
    """Processed is the sum of success, failure and skipped, and adds up as well."""
    assert a.processed == a.success + a.failure + a.skipped
    assert (a + b).processed == a.processed + b.processed


@given(COUNTS)
def test_counts_round_trip(counts: Counts) -> None:
    """Counts survive storage, under the names of the API."""
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
        "unchangedCount": counts.unchanged,
        "deletedCount": counts.deleted,
    }


def test_missing_counts_are_zero() -> None:
    """What a document does not count is zero, and what else it has is ignored."""
    assert Counts.from_document({}) == Counts()
    assert Counts.from_document({"failureCount": 2, "status": "QUEUED"}) == Counts(failure=2)


@given(st.lists(OUTCOMES), NUMBERS, NUMBERS)
def test_each_row_is_counted_once(exceptions: list[RowOutcome], created: int, updated: int) -> None:
    """Counting a chunk gives each row one place."""
    counts = Counts.of(iter(exceptions), created=created, updated=updated)
    assert counts.processed == created + updated + len(exceptions)
    assert counts.success == counts.created + counts.updated == created + updated
    assert counts.failure == sum(outcome.status == "FAILED" for outcome in exceptions)
    assert counts.skipped == sum(outcome.status == "SKIPPED" for outcome in exceptions)
    skipped = [outcome for outcome in exceptions if outcome.status == "SKIPPED"]
    assert counts.duplicate == sum(outcome.code == "DUPLICATE" for outcome in skipped) <= counts.skipped


@pytest.mark.parametrize(
    ("done", "code"),
    [
        ({}, "UPDATED"),
        ({"created": 0b100}, "CREATED"),
        ({"unchanged": 0b100}, "UNCHANGED"),
        ({"deleted": 0b100}, "DELETED"),
    ],
)
def test_what_a_good_row_has_done(done: dict[str, int], code: str) -> None:
    """The third row of a chunk made, changed, found or deleted its record."""
    outcome = ChunkOutcome(11, 4, Counts(), [], **{"created": 0, **done})
    assert outcome.code(13) == code
    assert outcome.deleted_rows() == ({13} if code == "DELETED" else set())


@given(st.lists(OUTCOMES), st.lists(OUTCOMES), st.integers(0, 99), st.integers(0, 99))
def test_counts_of_parts_add_up(left: list[RowOutcome], right: list[RowOutcome], created: int, updated: int) -> None:
    """Counts of parts add up to counts of the whole."""
    whole = Counts.of(left + right, created=created, updated=updated)
    assert Counts.of(left, created=created, updated=0) + Counts.of(right, created=0, updated=updated) == whole


@given(OUTCOMES)
def test_a_row_outcome_survives_storage(outcome: RowOutcome) -> None:
    document = outcome.to_document()
    assert RowOutcome.from_document(document) == outcome
    assert None not in document.values()


def test_row_outcome_has_no_empty_parts() -> None:
    """A row outcome is stored without what it does not have."""
    assert RowOutcome(3, "FAILED", "REQUIRED", "name is empty.", "name").to_document() == {
        "row": 3,
        "status": "FAILED",
        "code": "REQUIRED",
        "message": "name is empty.",
        "column": "name",
    }


#: An entry as a chunk can have it: what the file says of it, what only the ledger knows, or a duplicate.
ENTRIES = st.one_of(
    st.builds(
        RowOutcome,
        st.just(0),
        st.just("FAILED"),
        st.sampled_from(["REQUIRED", "TOO_LONG"]),
        st.just(""),
        st.none(),
        st.none(),
    ),
    st.builds(
        RowOutcome,
        st.just(0),
        st.just("FAILED"),
        st.sampled_from(["WRITE_REFUSED", "DEAD_LETTER"]),
        st.text(),
        st.none(),
        st.none(),
    ),
    st.sampled_from(["ALREADY_EXISTS", "NOT_FOUND"]).map(lambda code: failed_at_record(0, code)),
    st.integers(1, 2**32).map(lambda owner: duplicate_of(0, owner)),
)


@st.composite
def chunk_outcomes(draw: st.DrawFn) -> ChunkOutcome:
    first, rows = draw(st.integers(1, 10**9)), draw(st.integers(0, 70))
    offsets = sorted(draw(st.sets(st.integers(0, rows - 1)))) if rows else []
    entries = [draw(ENTRIES)._replace(row=first + offset) for offset in offsets]
    bits = st.integers(0, (1 << rows) - 1)
    return ChunkOutcome(first, rows, draw(COUNTS), entries, draw(bits), draw(bits), draw(bits))


@given(chunk_outcomes())
def test_chunk_outcome_round_trip(outcome: ChunkOutcome) -> None:
    """The outcome of a chunk survives storage."""
    document = outcome.to_document()
    assert ChunkOutcome.from_document(document) == outcome
    assert len(document["created"]) == (outcome.row_count + 7) // 8


@given(chunk_outcomes())
def test_old_outcome_is_read(outcome: ChunkOutcome) -> None:
    """An outcome of version 0.1 is read; none of its rows was unchanged."""
    outcome = replace(outcome, unchanged=0, counts=replace(outcome.counts, unchanged=0))
    document = outcome.to_document()
    del document["packed"], document["counts"]["unchangedCount"]
    document["exceptions"] = [entry.to_document() for entry in outcome.exceptions]
    assert ChunkOutcome.from_document(document) == outcome


def test_derived_texts_are_not_kept() -> None:
    """Texts that follow from the file are not kept."""
    entries = [
        RowOutcome(5, "FAILED", "REQUIRED", "name is empty.", "name"),
        RowOutcome(6, "FAILED", "WRITE_REFUSED", "The database refused it."),
    ]
    [derived, kept] = ChunkOutcome.from_document(ChunkOutcome(5, 2, Counts(), entries, 0).to_document()).exceptions
    assert derived == RowOutcome(5, "FAILED", "REQUIRED", "")
    assert derivable(derived)
    assert kept == entries[1]
    assert not derivable(kept)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
@pytest.mark.parametrize(
    "made",
    [
        lambda row: RowOutcome(row, "FAILED", "INVALID_EMAIL", f'email is not an email address: "{row}"', "email"),
        lambda row: RowOutcome(row, "FAILED", "DEAD_LETTER", "The row could not be processed." * 5),
        lambda row: duplicate_of(row, row * 7919 % 10_000_000 + 1),
    ],
    ids=["not valid", "dead", "duplicate"],
)
def test_the_entries_of_a_chunk_are_small(made: Callable[[int], RowOutcome], share: float) -> None:
    """At most six bytes for a row that failed, eight for a duplicate with its owner; a document each took 130."""
    chosen = random.Random(1)
    rows = [row for row in range(5_000_001, 5_010_001) if chosen.random() < share]
    entries = [made(row) for row in rows]
    size = len(bson.encode(ChunkOutcome(5_000_001, 10_000, Counts(), entries, 0).to_document()))
    assert size - 1250 < 8 * len(rows) + 700
