"""Values of fields as BSON: what the driver would write, and reads back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mongo.statements import EncodedRecords, RecordLayout
from app.domain.cells import KEEP
from app.domain.entities.kinds import KINDS, Kind

NAMES = ("id", "count", "amount", "flag", "day", "time")
LAYOUT = RecordLayout(
    "a",
    NAMES,
    0,
    kinds=(Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE, Kind.DATE_TIME),
)
DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, places=17, min_value=-(10**17) + 1, max_value=10**17 - 1
) | st.integers(-(10**17) + 1, 10**17 - 1).map(Decimal)
CANONICAL = KINDS[Kind.DECIMAL].normalise
TIMES = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(
    lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=UTC)
)
VALUES = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    DECIMALS.map(lambda value: CANONICAL(value) if CANONICAL else value),
    st.booleans(),
    st.dates(),
    TIMES,
)
#: Whole rows, rows with gaps.
WHOLE = st.tuples(*VALUES)
GAPS = st.tuples(VALUES[0], *(value | st.none() | st.just(KEEP) for value in VALUES[1:]))


def encoded(rows: list[tuple[Any, ...]]) -> EncodedRecords:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in NAMES]
    return LAYOUT.encode(range(1, len(rows) + 1), columns)


def stored(value: Any) -> Any:
    """A value as the driver takes it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return Int64(value)
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


@given(st.lists(WHOLE | GAPS, max_size=4))
def test_values_are_those_of_the_driver(rows: list[tuple[Any, ...]]) -> None:
    """Whatever a row says is encoded to the bit as the driver does it; what it does not say is not there."""
    expected = [
        bson.encode(
            {
                "_id": f"a:{row[0]}",
                **{
                    name: stored(value)
                    for name, value in zip(NAMES, row, strict=True)
                    if value is not None and value is not KEEP
                },
            }
        )
        for row in rows
    ]
    assert encoded(rows).stored() == expected


@given(st.lists(GAPS, max_size=4))
def test_typed_change_sets_and_removes(rows: list[tuple[Any, ...]]) -> None:
    """A change of typed fields sets values, removes what is to have none, and names neither what it keeps."""
    for statement, row in zip(encoded(rows).changes(), rows, strict=True):
        change = bson.decode(statement)["u"]
        cells = dict(zip(NAMES, row, strict=True))
        assert {name for name in change["$set"] if name in NAMES} == {
            name for name, value in cells.items() if value is not None and value is not KEEP
        }
        assert set(change.get("$unset", {})) == {name for name, value in cells.items() if value is None}


@pytest.mark.parametrize(
    ("value", "text"), [("12.50", "12.5"), ("-0.0", "0"), ("1E+3", "1000"), ("0.000", "0"), ("100", "100")]
)
def test_equal_decimals_are_one_value(value: str, text: str) -> None:
    """Zeros that say nothing are not kept, so that equal amounts are the same to the bit."""
    assert CANONICAL is not None
    [document] = encoded([("1", 1, CANONICAL(Decimal(value)), True, date(2026, 1, 1), datetime.now(UTC))]).stored()
    assert str(bson.decode(document)["amount"]) == text


def test_day_is_its_midnight() -> None:
    """A date is kept as the time in UTC with which it begins."""
    [document] = encoded([("1", 1, Decimal(1), True, date(2026, 1, 31), datetime.now(UTC))]).stored()
    assert bson.decode(document)["day"] == datetime(2026, 1, 31)
