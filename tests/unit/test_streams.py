"""What an action knows of chunks that come over Kafka, and when all of them are there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain.streams import (
    MOST_CHUNKS,
    ROWS_PER_CHUNK,
    Arrived,
    Declared,
    Numbering,
    Stream,
    StreamChunk,
    StreamIndex,
    first_row_of,
    new_token,
    place_of,
    stored_range,
    token_digest,
)
from app.domain.upload_keys import chunk_key, is_upload_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def arrived(*chunks: tuple[int, int], numbering: Numbering | None = Numbering.INDEX) -> Arrived:
    """What has arrived when these chunks have: their numbers and rows."""
    return Arrived.of([StreamChunk(number, rows, 10, "aa") for number, rows in chunks], numbering)


@pytest.mark.parametrize(("number", "place"), [(0, 1), (0, ROWS_PER_CHUNK), (7, 12), (MOST_CHUNKS - 1, ROWS_PER_CHUNK)])
def test_rows_are_named_by_chunk_and_place(number: int, place: int) -> None:
    """The number of a row says both, and fits into 32 bits."""
    row = first_row_of(number) + place - 1
    assert place_of(row) == (number, place)
    assert 0 < row < 2**32


def test_tokens_are_hard_to_guess() -> None:
    """No two are the same, and only their digest is stored."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43
    stream = Stream(token_digest=token_digest("right"), waiting_since=NOW)
    assert stream.accepts("right")
    assert not any(stream.accepts(token) for token in (None, "", "Right", "right ", "\udc80", stream.token_digest))
    assert "right" not in str(stream.to_document())


@pytest.mark.parametrize("declared", [None, Declared(rows=3), Declared(3, 1)])
@pytest.mark.parametrize("numbering", [None, *Numbering])
def test_stream_survives_its_document(declared: Declared | None, numbering: Numbering | None) -> None:
    stream = Stream(
        token_digest="d",
        numbering=numbering,
        waiting_since=NOW,
        declared=declared,
        backlog=(3, 0) if declared else None,
        arrived=3,
        refused=2,
        sealed=True,
    )
    assert Stream.from_document(stream.to_document()) == stream


@pytest.mark.parametrize(
    ("chunks", "declared", "complete"),
    [
        ([], Declared(rows=0), True),
        ([], Declared(chunks=0), True),
        ([], Declared(rows=1), False),
        ([(0, 5), (1, 2)], Declared(rows=7), True),
        ([(0, 5), (1, 2)], Declared(chunks=2), True),
        ([(0, 5), (1, 2)], Declared(7, 2), True),
        ([(0, 5), (1, 2)], Declared(8, 2), False),
        ([(0, 5), (1, 2)], Declared(7, 3), False),
        ([(0, 5), (2, 2)], Declared(rows=7), False),
        ([(0, 5), (2, 2)], Declared(chunks=2), False),
        ([(0, 5), (1, 0), (2, 2)], Declared(chunks=2), False),
    ],
)
def test_all_is_there(chunks: list[tuple[int, int]], declared: Declared, complete: bool) -> None:
    """By index there are no gaps; a vacant number is no chunk."""
    assert arrived(*chunks).complete(declared) == complete
    if complete:
        assert arrived(*chunks).contradiction(declared) is None


def test_numbers_of_arrival_may_have_gaps() -> None:
    """A number that was given and never used is nobody's mistake."""
    found = arrived((0, 5), (2, 2), numbering=Numbering.ARRIVAL)
    assert found.complete(Declared(7, 2))
    assert found.contradiction(Declared(chunks=2)) is None
    assert found.lacking(Declared(chunks=3), 60) == (
        "It was closed with 3 chunks, and 2 chunks arrived; no more came for 60 seconds."
    )


@pytest.mark.parametrize(
    ("chunks", "declared", "reason"),
    [
        ([(0, 5)], Declared(rows=6), None),
        ([(0, 5)], Declared(chunks=2), None),
        ([(0, 5)], Declared(rows=4), "It was closed with 4 rows, and 5 rows arrived."),
        ([(0, 5)], Declared(6, 1), "It was closed with 6 rows in 1 chunk, and 5 rows in 1 chunk arrived."),
        ([(3, 5)], Declared(chunks=2), "It was closed with 2 chunks, and has a chunk of index 3."),
        ([(1, 1)], Declared(rows=1), "All of its 1 rows are there, but no chunk of index 0."),
    ],
)
def test_contradictions_are_told(chunks: list[tuple[int, int]], declared: Declared, reason: str | None) -> None:
    """What can never come true is told at once; what is only missing is waited for."""
    assert arrived(*chunks).contradiction(declared) == reason
    assert arrived(*chunks).complete(declared) is False


def test_missing_chunks_are_named_up_to_a_number() -> None:
    told = arrived((0, 1)).lacking(Declared(chunks=5000), 1)
    assert told.endswith(
        "Missing chunks: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 and 4,979 others."
    )


def test_index_of_chunks() -> None:
    """Each chunk has bytes and rows of its own; one that is not there has none."""
    chunks = {0: StreamChunk(0, 2, 100, "aa"), 2: StreamChunk(2, 1, 50, "bb")}
    index = StreamIndex(chunks, 3)
    assert (len(index), index.row_count, index.last_row) == (3, 3, 30_000)
    spans = index.spans(0, 10)
    assert [(span.first_row, span.rows, span.end - span.start) for span in spans] == [
        (1, 2, 100),
        (10_001, 0, 0),
        (20_001, 1, 50),
    ]
    assert [stored_range(span.start, span.end) for span in spans] == [(0, 0, 100), (1, 0, 0), (2, 0, 50)]


def test_objects_of_chunks_are_known() -> None:
    """The sweeper takes them for parts of an action; another content has another key."""
    key = chunk_key("0" * 24, MOST_CHUNKS - 1, "ab" * 32)
    assert is_upload_key(key)
    assert key != chunk_key("0" * 24, MOST_CHUNKS - 1, "cd" * 32)
    assert not is_upload_key(key.replace("-", "/"))
