"""The statements of a chunk are exactly the documents that they stand for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mongo.statements import Upserts

FIELDS = ("id", "name", "email")
TAG = {"actionId": "f" * 24, "at": datetime(2026, 1, 1, tzinfo=UTC)}
# Whatever UTF-8 can say: the validators refuse some of it, this layer refuses nothing.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def as_dict(account: str, record: dict[str, str], row: int) -> dict[str, Any]:
    fields = {"accountId": account, **record, "_bulk": {**TAG, "row": row}}
    return {
        "q": {"_id": f"{account}:{record['id']}"},
        "u": {"$set": fields, "$setOnInsert": {"createdBy": "me"}},
        "upsert": True,
    }


@given(TEXT, st.lists(st.tuples(st.integers(1, 2**40), TEXT, TEXT, TEXT), max_size=5))
def test_statement_is_what_drivers_send(account: str, rows: list[tuple[int, str, str, str]]) -> None:
    """A statement is the document that a driver would encode."""
    upserts = Upserts(account, FIELDS, 0, {"accountId": account}, TAG, {"createdBy": "me"})
    columns = [[row[position] for row in rows] for position in (1, 2, 3)]
    made = upserts.statements([row[0] for row in rows], columns)
    wanted = [as_dict(account, dict(zip(FIELDS, values, strict=True)), row) for row, *values in rows]
    found = [bson.decode(statement.raw, bson.CodecOptions(tz_aware=True)) for statement in made]
    assert found == wanted
    assert [list(statement["u"]["$set"]) for statement in found] == [list(each["u"]["$set"]) for each in wanted]


@given(st.integers(0, 2), st.lists(TEXT, min_size=3, max_size=3))
def test_any_column_may_be_the_key(key: int, values: list[str]) -> None:
    upserts = Upserts("a", FIELDS, key, {}, {}, {})
    [statement] = upserts.statements([7], [[value] for value in values])
    assert statement["q"]["_id"] == f"a:{values[key]}"
