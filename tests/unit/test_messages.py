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
        first_row=st.integers(1, 2**32 - 10_000),
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
def test_message_format(message: Message) -> None:
    """A message is JSON in camel case, without empty parts."""

    def check(value: Any) -> None:
        assert value is not None
        if isinstance(value, dict):
            assert not any("_" in name for name in value)
            for inner in value.values():
                check(inner)

    check(json.loads(message.encode()))


@given(RESULTS, COUNTS)
def test_result_has_counts_of_chunk(result: ChunkResult, counts: Counts) -> None:
    """A result carries the counts of its chunk."""
    told = ChunkResult.of(ACTION_ID, 3, 4, counts)
    assert ChunkResult.decode(told.encode()).read_counts() == counts
    assert ChunkResult.decode(result.encode()).read_counts() == result.read_counts()


def test_result_without_index() -> None:
    """A result without an index asks for a recount."""
    asked = ChunkResult.decode(ChunkResult(action_id=ACTION_ID, chunk_count=4).encode())
    assert (asked.index, asked.read_counts()) == (None, Counts())


# Keys


@given(IDS, st.integers(0, 10**9))
def test_chunk_name(action_id: str, index: int) -> None:
    """A chunk is named by its action and index."""
    assert chunk_id(action_id, index) == f"{action_id}:{index}"


def test_message_keys() -> None:
    """Chunks are keyed one by one, and everything else by its action."""
    read = Chunk.decode(json.dumps(chunk_document()).encode())
    assert read.key == read.id == f"{ACTION_ID}:7"
    assert Feed(action_id=ACTION_ID, first=9).key == ACTION_ID
    assert ChunkResult.of(ACTION_ID, 3, 4, Counts()).key == ACTION_ID


# What cannot be read


def test_chunk_may_map_columns() -> None:
    """A chunk may say which field each column is for."""
    source = source_document(columns=["id", "name"])
    told = Chunk.decode(json.dumps(chunk_document(source={**source, "fields": ["name", ""]})).encode())
    assert told.source.fields == ("name", "")
    assert Chunk.decode(told.encode()) == told
    for fields in ([], ["id"], ["id", "name", ""], "id", [None, "id"]):
        with pytest.raises(Undecodable):
            Chunk.decode(json.dumps(chunk_document(source={**source, "fields": fields})).encode())


@pytest.mark.parametrize("kind", TYPES)
@given(value=st.binary())
def test_any_bytes_are_decoded_or_refused(kind: type[Message], value: bytes) -> None:
    """Bytes of any kind are a message or undecodable."""
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
def test_any_json_is_decoded_or_refused(kind: type[Message], value: Any) -> None:
    """JSON of any shape is a message or undecodable."""
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
def test_bad_message_is_undecodable(kind: type[Message], value: bytes | None) -> None:
    """What is no message is undecodable."""
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
        ({"span": {"start": 0, "end": 9, "firstRow": 2**32 - 1, "rows": 2}}, "span"),
        ({"source": source_document(rowCount=10**15)}, "source.rowCount"),
    ],
)
def test_faults_of_a_message_are_named(changes: dict[str, Any], named: str) -> None:
    """What is wrong with a message is named."""
    with pytest.raises(Undecodable, match=f"^{named}: "):
        Chunk.decode(json.dumps(chunk_document(**changes)).encode())


@given(OFFSETS, st.integers(1, 2**62))
def test_a_span_goes_forward_or_is_empty(start: int, surplus: int) -> None:
    assert ByteRange(start=start, end=start, first_row=1, rows=0).end == start
    with pytest.raises(ValidationError, match="cannot end before it starts"):
        ByteRange(start=start + surplus, end=start, first_row=1, rows=0)


def test_unknown_fields_are_ignored() -> None:
    """Fields that nobody knows are ignored, so that newer senders can be read."""
    assert Chunk.decode(json.dumps(chunk_document(fromTheFuture=1)).encode()) == Chunk.decode(
        json.dumps(chunk_document()).encode()
    )


def test_a_seal_shows_who_has_made_a_chunk() -> None:
    """It covers what is to be done and with which rows; what changes on the way of a message is free."""
    chunk = Chunk.model_validate(chunk_document())
    sealed = Chunk.decode(chunk.sealed("key").encode())
    assert sealed.is_sealed("key")
    assert sealed.model_copy(update={"attempt": 3, "replay": True}).is_sealed("key")
    assert not chunk.is_sealed("key")
    assert not sealed.is_sealed("other")
    for changes in ({"index": 8}, {"action_id": "f" * 24}, {"span": sealed.span.model_copy(update={"end": 21})}):
        assert not sealed.model_copy(update=changes).is_sealed("key")
    for name, value in {"account_id": "other", "storage_key": "x", "action_type": "BULK_DELETE"}.items():
        source = sealed.source.model_copy(update={name: value})
        assert not sealed.model_copy(update={"source": source}).is_sealed("key")
    assert chunk.sealed(None) is chunk
