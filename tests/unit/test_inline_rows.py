"""Rows that came as JSON: what messages are taken for, and the form in which they are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.text import decoded, read_records
from app.domain.entities import ENTITIES
from app.domain.inline_rows import DELIMITER, PLACE, InlineTable, NotFlat, columns_of, header_of
from app.domain.rows import check_chunk, check_rows
from app.kafka.inline_rows import InlineRows, Place, read_chunk
from app.kafka.messages import Chunk, Undecodable
from app.kafka.retry_headers import RetryHeaders
from tests.support.factories import ACTION_ID, chunk_document
from tests.support.fakes import event

CONTACT = ENTITIES["Contact"]
COLUMNS = columns_of(CONTACT)


def stored(*rows: Any, partial: bool = False) -> list[list[str]]:
    """The rows as they are read back, without their places."""
    records, open_quote = read_records(decoded(InlineTable(COLUMNS, rows, partial=partial).to_csv(3)), DELIMITER)
    assert not open_quote
    assert [record[-1] for record in records] == [f"3:{place}" for place in range(1, len(rows) + 1)]
    return [record[:-1] for record in records]


def message(**fields: Any) -> bytes:
    return json.dumps({"actionId": ACTION_ID, "rows": [{"id": "1"}], **fields}).encode()


def read(value: bytes, **headers: bytes) -> Chunk | InlineRows:
    return read_chunk(
        event(value, partition=4, offset=9, headers=[(n.replace("_", "-"), v) for n, v in headers.items()])
    )


def test_values_become_cells() -> None:
    """Names fit in any case; what no field has is left out; an empty row is a row."""
    rows = [{"ID": 7, " Name ": True, "email": None, "status": 1.5, "other": {}}, {}]
    assert stored(*rows) == [["7", "true", "", "1.5"], [""] * 4]
    assert stored({"id": "7", "name": None}, partial=True) == [["7", "#N/A", "", ""]]
    assert header_of(COLUMNS) == f"id,name,email,status,{PLACE}\r\n".encode()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("text", "Row 2 is text, and must be an object of values by field."),
        (None, "Row 2 is null"),
        (7, "Row 2 is a number"),
        ([], "Row 2 is a list"),
        ({"name": {}}, "name of row 2 is an object, and must be text, a number, true, false or null."),
        ({"Name": [1]}, "Name of row 2 is a list"),
    ],
)
def test_what_is_not_flat_is_told(row: Any, words: str) -> None:
    with pytest.raises(NotFlat, match=words.replace(".", r"\.")):
        InlineTable(COLUMNS, [{"id": "1"}, row], partial=False)


@given(st.lists(st.dictionaries(st.sampled_from(CONTACT.columns), st.text() | st.none()), max_size=20))
def test_any_text_is_stored_as_it_is(rows: list[dict[str, str | None]]) -> None:
    assert stored(*rows) == [[row.get(name) or "" for name in CONTACT.columns] for row in rows]


_VALUES = st.sampled_from(["a", " b ", "", "x@y.example", "active", "no\nline", "\ud800", "\0", 'q"', None, 7, True])


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(CONTACT.columns, _VALUES)), max_size=10))
def test_stored_rows_are_judged_alike(rows: list[dict[str, Any]]) -> None:
    """Which rows are valid, and what they become, is the same as if they were never stored."""
    direct = check_rows(CONTACT, [{n: str(v).lower() if v is True else v for n, v in row.items()} for row in rows], 1)
    table = InlineTable(COLUMNS, rows, partial=False)
    read_back = check_chunk(CONTACT, COLUMNS, table.to_csv(0), DELIMITER, 1)
    assert read_back.rows == direct.rows
    assert read_back.columns == direct.columns
    assert [(one.row, one.column) for one in read_back.failures] == [(one.row, one.column) for one in direct.failures]


# Messages


def test_a_message_of_ours_is_a_chunk() -> None:
    assert isinstance(read(json.dumps(chunk_document()).encode()), Chunk)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (message(), {"stream_token": b"t"}),
        (message(streamToken="t"), {}),
        (message(streamToken="other"), {"stream_token": b"t"}),
        (json.dumps({"schema": None, "payload": json.loads(message())}).encode(), {"stream_token": b'"t"'}),
        (message(), {"stream_token": b'{"schema": {"type": "string"}, "payload": "t"}'}),
    ],
)
def test_forms_of_a_message(value: bytes, headers: dict[str, bytes]) -> None:
    """As it is or as Kafka Connect writes it, with the token in a header or in itself."""
    found = read(value, **headers)
    assert isinstance(found, InlineRows)
    assert (found.action_id, found.index, found.rows, found.stream_token) == (ACTION_ID, None, [{"id": "1"}], "t")
    assert (found.read_at.partition, found.read_at.offset) == (4, 9)


def test_numbers_keep_their_digits() -> None:
    value = f'{{"actionId": "{ACTION_ID}", "rows": [{{"id": 12345678901234567890.12, "name": NaN}}]}}'.encode()
    found = read(value)
    assert isinstance(found, InlineRows)
    assert found.rows == [{"id": "12345678901234567890.12", "name": None}]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[1]", "JSON"),
        (b"{}", "actionId"),
        (message(rows=[]), "rows"),
        (message(rows={}), "rows"),
        (message(rows=[{}] * 10_001), "rows"),
        (message(index=-1), "index"),
        (message(index=100_000), "index"),
        (message(actionId="x"), "actionId"),
        (b'{"rows": ' + b"[" * 100_000, "JSON"),
        (message()[:-1] + b',"n":' + b"9" * 5000 + b"}", "JSON"),
    ],
)
def test_what_cannot_be_read_is_told(value: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        read(value)


def test_no_message_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        read_chunk(event(None))


def test_a_retried_message_is_the_same() -> None:
    """What is tried again has its token and the place where it was first read, wherever it is read then."""
    first = read(message(index=2), stream_token=b"t")
    assert isinstance(first, InlineRows)
    history = RetryHeaders.after(event(topic="bulk", partition=4, offset=9), "away").to_headers()
    again = read_chunk(event(first.encode(), partition=0, offset=77, headers=list(history.items())))
    assert again == first
    assert first.key == f"{ACTION_ID}:2"


def test_the_token_can_be_left_out() -> None:
    """What is shown of a message has no token."""
    found = InlineRows(action_id=ACTION_ID, rows=[{"id": None}], stream_token="t", read_at=Place(partition=1, offset=2))
    assert json.loads(found.without_token.encode()) == {
        "actionId": ACTION_ID,
        "rows": [{"id": None}],
        "readAt": {"partition": 1, "offset": 2},
    }
