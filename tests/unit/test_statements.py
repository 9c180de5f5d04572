"""The records of a chunk are exactly the documents that they stand for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mongo.statements import EncodedRecords, RecordLayout
from app.domain.cells import KEEP

FIELDS = ("id", "name", "email")
TAG = {"actionId": "f" * 24, "at": datetime(2026, 1, 1, tzinfo=UTC)}
# Whatever UTF-8 can say: the validators refuse some of it, this layer refuses nothing.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(st.tuples(st.integers(1, 2**40), TEXT, TEXT, TEXT), max_size=5)


def encoded(account: str, rows: list[tuple[int, str, str, str]]) -> EncodedRecords:
    layout = RecordLayout(account, FIELDS, 0, {"accountId": account}, TAG, {"createdBy": "me"})
    return layout.encode([row[0] for row in rows], [[row[position] for row in rows] for position in (1, 2, 3)])


def decoded(documents: list[bytes]) -> list[dict[str, Any]]:
    return [bson.decode(document, bson.CodecOptions(tz_aware=True)) for document in documents]


def records(rows: list[tuple[int, str, str, str]]) -> list[tuple[int, dict[str, str]]]:
    return [(row, dict(zip(FIELDS, values, strict=True))) for row, *values in rows]


@given(TEXT, ROWS)
def test_a_new_record(account: str, rows: list[tuple[int, str, str, str]]) -> None:
    """An insert has the id, the fields, the audit tag and what only the maker of a record writes."""
    wanted = [
        {
            "_id": f"{account}:{record['id']}",
            "accountId": account,
            **record,
            "_bulk": {**TAG, "row": row},
            "createdBy": "me",
        }
        for row, record in records(rows)
    ]
    found = decoded(encoded(account, rows).inserts())
    assert found == wanted
    assert [list(record) for record in found] == [list(record) for record in wanted]


@given(TEXT, ROWS)
def test_a_change(account: str, rows: list[tuple[int, str, str, str]]) -> None:
    """A change sets every field of the row and the audit tag, and makes no record."""
    assert decoded(encoded(account, rows).changes()) == [
        {
            "q": {"_id": f"{account}:{record['id']}"},
            "u": {"$set": {"accountId": account, **record, "_bulk": {**TAG, "row": row}}},
        }
        for row, record in records(rows)
    ]


CELLS = st.one_of(TEXT, st.none(), st.just(KEEP))


def sparse(rows: list[tuple[int, Any, Any]], *, whole: bool = False) -> EncodedRecords:
    """Rows of which the name and the email may be missing, or be left as they are."""
    layout = RecordLayout("a", FIELDS, 0, {"accountId": "a"}, TAG, whole=whole)
    columns = [[str(row) for row, *_ in rows], [name for _, name, _ in rows], [email for *_, email in rows]]
    return layout.encode([row for row, *_ in rows], columns)


@given(st.lists(st.tuples(st.integers(1, 99), CELLS, CELLS), max_size=5), st.booleans())
def test_a_change_of_some_fields(rows: list[tuple[int, Any, Any]], whole: bool) -> None:
    """A change sets what has a value, removes what is to have none, and leaves alone what is kept; its tag names it."""
    expected = []
    named = not whole or any(KEEP in row for row in rows)
    for row, name, email in rows:
        cells = {"id": str(row), "name": name, "email": email}
        said = {field: cell for field, cell in cells.items() if cell is not KEEP}
        values = {field: cell for field, cell in said.items() if cell is not None}
        tag = {**TAG, "row": row} | ({"fields": list(said)} if named else {})
        gone = {field: "" for field in said if field not in values}
        change = {"$set": {"accountId": "a", **values, "_bulk": tag}} | ({"$unset": gone} if gone else {})
        expected.append({"q": {"_id": f"a:{row}"}, "u": change})
    encoded_rows = sparse(rows, whole=whole)
    assert decoded(encoded_rows.changes()) == expected
    assert encoded_rows.keeps == any(KEEP in row for row in rows)
    assert [list(names) for names in encoded_rows.names()] == [
        [field for field, cell in zip(FIELDS, (str(row), *cells), strict=True) if cell is not KEEP]
        for row, *cells in rows
    ]


@given(st.lists(st.tuples(st.integers(1, 99), CELLS, CELLS), max_size=5))
def test_missing_values_are_left_out(rows: list[tuple[int, Any, Any]]) -> None:
    """A new record, and one as a query answers it, has no field without a value."""
    for made in (sparse(rows).inserts(), sparse(rows).stored()):
        for (_, *cells), document in zip(rows, decoded(made), strict=True):
            values = {field: cell for field, cell in zip(FIELDS[1:], cells, strict=True) if isinstance(cell, str)}
            assert {field: document[field] for field in FIELDS[1:] if field in document} == values


@given(ROWS, st.data())
def test_fields_that_are_kept(rows: list[tuple[int, str, str, str]], data: st.DataObject) -> None:
    """Rows that are told to leave fields as they are say nothing of them, except for their key."""
    names = st.frozensets(st.sampled_from(FIELDS))
    kept = data.draw(st.dictionaries(st.integers(0, len(rows) - 1), names)) if rows else {}
    for position, said in enumerate(encoded("a", rows).keeping(kept).names()):
        assert set(said) == {"id"} | (set(FIELDS) - kept.get(position, frozenset()))


@given(TEXT, ROWS)
def test_a_deletion(account: str, rows: list[tuple[int, str, str, str]]) -> None:
    """A deletion names the record by its id alone, and takes one."""
    assert decoded(encoded(account, rows).deletions()) == [
        {"q": {"_id": f"{account}:{record['id']}"}, "limit": 1} for _, record in records(rows)
    ]


@given(TEXT, ROWS)
def test_what_a_query_answers(account: str, rows: list[tuple[int, str, str, str]]) -> None:
    """A stored record, as a query for its fields answers it, is told by its bytes."""
    answers = [bson.encode({"_id": f"{account}:{record['id']}", **record}) for _, record in records(rows)]
    assert encoded(account, rows).stored() == answers


@given(ROWS, st.data())
def test_some_of_the_rows(rows: list[tuple[int, str, str, str]], data: st.DataObject) -> None:
    """Rows that are chosen by their positions are those that stand there."""
    positions = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True)) if rows else []
    chosen = encoded("a", rows).at(positions)
    assert chosen.changes() == encoded("a", [rows[position] for position in positions]).changes()
    assert chosen.ids == [f"a:{rows[position][1]}" for position in positions]


@pytest.mark.parametrize("key", range(3))
def test_any_column_may_be_the_key(key: int) -> None:
    """The id of a record is the account and whichever column is the key."""
    layout = RecordLayout("a", FIELDS, key, {}, {}, {})
    [record] = decoded(layout.encode([7], [["x"], ["y"], ["z"]]).inserts())
    assert record["_id"] == f"a:{'xyz'[key]}"
