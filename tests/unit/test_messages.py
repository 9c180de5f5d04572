"""Messages: what is sent can be read, and what cannot be read is told apart by one exception."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.domain.outcomes import Counts
from app.kafka.messages import ByteRange, Chunk, ChunkResult, Feed, Message, Source, Undecodable, chunk_id
from tests.support.factories import ACTION_ID, chunk_document, source_document

TYPES: tuple[type[Message], ...] = (Chunk, Feed, ChunkResult)


def made(kind: type[BaseModel], **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Messages by the names of their fields (``st.builds`` would look for their aliases)."""
    return st.fixed_dictionaries(parts).map(lambda values: kind(**values))


IDS = st.text("0123456789abcdef", min_size=24, max_size=24)
OFFSETS = st.integers(0, 2**62)
SOURCES = made(
    Source,
    account_id=st.text(),
    entity_type=st.text(),
    action_type=st.text(),
    storage_key=st.text(),
    columns=st.lists(st.text()).map(tuple),
    delimiter=st.sampled_from(",;|\t"),
    row_count=st.integers(0, 2**32 - 1),
    chunk_count=st.integers(1, 2**32 - 1),
    started_at=st.datetimes(timezones=st.just(UTC)),
)
SPANS = st.tuples(OFFSETS, st.integers(0, 64 * 1024**2)).flatmap(
    lambda range_: made(
        ByteRange,
        start=st.just(range_[0]),
        end=st.just(sum(range_)),
        first_row=st.integers(1, 2**32 - 1),
        rows=st.integers(0, 10_000),
    )
)
CHUNKS = made(Chunk, action_id=IDS, index=OFFSETS, span=SPANS, source=SOURCES, replay=st.booleans())
FEEDS = made(
    Feed, action_id=IDS, first=OFFSETS, indexes=st.none() | st.lists(st.integers(0, 9999), max_size=40).map(tuple)
)
COUNTS = st.builds(Counts, *[st.integers(0, 10**12)] * 6)
RESULTS = st.builds(ChunkResult.of, IDS, OFFSETS, st.integers(1, 2**40), COUNTS)
MESSAGES = st.one_of(CHUNKS, FEEDS, RESULTS)


@given(MESSAGES)
def test_a_message_survives_the_broker(message: Message) -> None:
    assert type(message).decode(message.encode()) == message


@given(MESSAGES)
def test_a_message_is_json_in_camel_case_without_empty_parts(message: Message) -> None:
    def check(value: Any) -> None:
        assert value is not None
        if isinstance(value, dict):
            assert not any("_" in name for name in value)
            for inner in value.values():
                check(inner)

    check(json.loads(message.encode()))


@given(RESULTS, COUNTS)
def test_a_result_carries_the_counts_of_its_chunk(result: ChunkResult, counts: Counts) -> None:
    told = ChunkResult.of(ACTION_ID, 3, 4, counts)
    assert ChunkResult.decode(told.encode()).read_counts() == counts
    assert ChunkResult.decode(result.encode()).read_counts() == result.read_counts()


def test_a_result_without_an_index_asks_for_a_recount() -> None:
    asked = ChunkResult.decode(ChunkResult(action_id=ACTION_ID, chunk_count=4).encode())
    assert (asked.index, asked.read_counts()) == (None, Counts())


# Keys


@given(IDS, st.integers(0, 10**9))
def test_a_chunk_is_named_by_its_action_and_index(action_id: str, index: int) -> None:
    assert chunk_id(action_id, index) == f"{action_id}:{index}"


def test_chunks_are_keyed_one_by_one_and_all_else_by_action() -> None:
    read = Chunk.decode(json.dumps(chunk_document()).encode())
    assert read.key == read.id == f"{ACTION_ID}:7"
    assert Feed(action_id=ACTION_ID, first=9).key == ACTION_ID
    assert ChunkResult.of(ACTION_ID, 3, 4, Counts()).key == ACTION_ID


# What cannot be read


def test_a_chunk_may_say_which_field_each_column_is_for() -> None:
    source = source_document(columns=["id", "name"])
    told = Chunk.decode(json.dumps(chunk_document(source={**source, "fields": ["name", ""]})).encode())
    assert told.source.fields == ("name", "")
    assert Chunk.decode(told.encode()) == told
    for fields in ([], ["id"], ["id", "name", ""], "id", [None, "id"]):
        with pytest.raises(Undecodable):
            Chunk.decode(json.dumps(chunk_document(source={**source, "fields": fields})).encode())


@pytest.mark.parametrize("kind", TYPES)
@given(value=st.binary())
def test_bytes_of_any_kind_are_a_message_or_undecodable(kind: type[Message], value: bytes) -> None:
    try:
        kind.decode(value)
    except Undecodable as refused:
        assert str(refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(ACTION_ID),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["actionId", "index", "span", "source", "indexes", "chunkCount", "counts", "first"]),
            inner,
        )
    ),
)


@pytest.mark.parametrize("kind", TYPES)
@given(value=JSON)
def test_json_of_any_shape_is_a_message_or_undecodable(kind: type[Message], value: Any) -> None:
    try:
        kind.decode(json.dumps(value).encode())
    except Undecodable as refused:
        str(refused).encode()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"actionId": "\xff"}',
        b"[" * 100_000,
        b'{"index":' * 10_000,
        b"1" * 10_000,
        b'{"actionId": "0123456789ABCDEF01234567"}',
        b'{"actionId": "0123456789abcdef01234567\\n"}',
        b'{"actionId": "\\ud800"}',
    ],
)
def test_what_is_no_message_is_undecodable(kind: type[Message], value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        kind.decode(value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"index": -1}, "index"),
        ({"index": "x"}, "index"),
        ({"span": {"start": -1, "end": 2, "firstRow": 1, "rows": 1}}, "span.start"),
        ({"span": {"start": 0, "end": 2, "firstRow": 0, "rows": 1}}, "span.firstRow"),
        ({"span": {"start": 0, "end": 2, "firstRow": 1, "rows": -1}}, "span.rows"),
        ({"span": {"start": 3, "end": 2, "firstRow": 1, "rows": 1}}, "span"),
        ({"span": None}, "span"),
        ({"source": source_document(chunkCount=0)}, "source.chunkCount"),
        ({"source": source_document(delimiter=",,")}, "source.delimiter"),
        ({"actionId": "7"}, "actionId"),
        # More than any chunk of ours has, so that reading it, or giving it up, fills nobody's memory.
        ({"span": {"start": 0, "end": 2**40, "firstRow": 1, "rows": 1}}, "span"),
        ({"span": {"start": 0, "end": 9, "firstRow": 1, "rows": 10**9}}, "span.rows"),
        ({"source": source_document(rowCount=10**15)}, "source.rowCount"),
    ],
)
def test_what_is_wrong_with_a_message_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(Undecodable, match=f"^{named}: "):
        Chunk.decode(json.dumps(chunk_document(**changes)).encode())


@given(OFFSETS, st.integers(1, 2**62))
def test_a_span_goes_forward_or_is_empty(start: int, surplus: int) -> None:
    assert ByteRange(start=start, end=start, first_row=1, rows=0).end == start
    with pytest.raises(ValidationError, match="cannot end before it starts"):
        ByteRange(start=start + surplus, end=start, first_row=1, rows=0)


def test_fields_that_nobody_knows_are_ignored_so_that_newer_senders_can_be_read() -> None:
    assert Chunk.decode(json.dumps(chunk_document(fromTheFuture=1)).encode()) == Chunk.decode(
        json.dumps(chunk_document()).encode()
    )
