"""The types of fields: what each takes, what it makes of it, and what it says of the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import AfterValidator

from app.domain.cells import KEEP, EmptyCells
from app.domain.csv.header import Columns
from app.domain.entities import ENTITIES, Entity
from app.domain.entities.kinds import Kind
from app.domain.entities.types import (
    Amount,
    Boolean,
    Count,
    Country,
    Currency,
    Date,
    DateTime,
    Identifier,
    Name,
    OneOf,
    Percent,
    Phone,
    Url,
)
from app.domain.outcomes import RowOutcome
from app.domain.rows import CheckedChunk, check_rows


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("it must be even")
    return value


class Everything(TypedDict):
    """A record with a field of every type."""

    id: Identifier
    note: NotRequired[Name]
    word: NotRequired[Annotated[str, OneOf("word", "one", "two-three")]]
    url: NotRequired[Url]
    phone: NotRequired[Phone]
    country: NotRequired[Country]
    amount: NotRequired[Amount]
    currency: NotRequired[Currency]
    count: NotRequired[Count]
    share: NotRequired[Percent]
    even: NotRequired[Annotated[int, AfterValidator(_even)]]
    day: NotRequired[Date]
    time: NotRequired[DateTime]
    flag: NotRequired[Boolean]


THING = Entity(name="Thing", model=Everything, collection="things")


def read(name: str, value: Any) -> Any:
    """What a cell of a field comes to: the value, or the failure of its row."""
    more = {"currency": "EUR"} if name == "amount" else {}
    checked = check_rows(THING, [{"id": "1", **more, name: value}], 1)
    return checked.failures[0] if checked.failures else checked.column(name)[0]


GOOD: dict[str, dict[Any, Any]] = {
    "word": {"one": "one", " TWO-three ": "two-three"},
    "url": {
        "https://example.com": "https://example.com",
        " http://bücher.example:8080/a?b=c#d ": "http://bücher.example:8080/a?b=c#d",
        "HTTPS://localhost/": "HTTPS://localhost/",
    },
    "phone": {
        "+493012345678": "+493012345678",
        "+49 (0)30 / 123-456.78": "+493012345678",
        "0049 30\u00a012345678": "+493012345678",
        "+1 (212) 555-0100": "+12125550100",
    },
    "country": {"de": "DE", " FR": "FR"},
    "currency": {"eur": "EUR", "CHF ": "CHF"},
    "amount": {
        "12": Decimal(12),
        "+12.50": Decimal("12.5"),
        "-0.0": Decimal(0),
        "12,5": Decimal("12.5"),
        "12,5000": Decimal("12.5"),
        "0,125": Decimal("0.125"),
        "0.125": Decimal("0.125"),
        "1.234,5": Decimal("1234.5"),
        "1,234.50": Decimal("1234.5"),
        "1.234.567": Decimal(1234567),
        "1.234.567,89": Decimal("1234567.89"),
        "1,234,567": Decimal(1234567),
        "1234.567": Decimal("1234.567"),
        "-1234,5678": Decimal("-1234.5678"),
        "100": Decimal(100),
        12.5: Decimal("12.5"),
        7: Decimal(7),
        "99999999999999.9999": Decimal("99999999999999.9999"),
    },
    "count": {"0": 0, " 12 ": 12, "+3": 3, 4: 4, "999999999999999999": 10**18 - 1},
    "share": {"100": 100},
    "even": {"4": 4},
    "day": {"2026-01-31": date(2026, 1, 31), "31.1.2026": date(2026, 1, 31), " 01.02.2026 ": date(2026, 2, 1)},
    "time": {
        "2026-01-31T14:30:00Z": datetime(2026, 1, 31, 14, 30, tzinfo=UTC),
        "2026-01-31 14:30": datetime(2026, 1, 31, 14, 30, tzinfo=UTC),
        "2026-01-31T14:30:00.123456+01:00": datetime(2026, 1, 31, 13, 30, 0, 123_000, tzinfo=UTC),
        "2026-01-31": datetime(2026, 1, 31, tzinfo=UTC),
    },
    "flag": {"true": True, " Yes": True, "1": True, "WAHR": True, "no": False, "0": False, "nein": False}
    | {True: True, False: False},
}
BAD: dict[str, dict[Any, tuple[str, str]]] = {
    "word": {"three": ("INVALID_WORD", 'word is not one of one, two-three: "three"')},
    "url": dict.fromkeys(
        ("example.com", "ftp://x.example", "http://", "https://-a.example", "https://a b", "javascript:x"),
        ("INVALID_URL", "url is not a web address"),
    ),
    "phone": dict.fromkeys(
        ("030 123456", "+49", "+0301234567", "+49 30 x"),
        ("INVALID_PHONE", "phone is not a phone number with its country code"),
    ),
    "country": dict.fromkeys(("D", "D1", "Ü."), ("INVALID_COUNTRY", "country is not a country code")),
    "currency": {"EURO": ("TOO_LONG", "currency has more than 3"), "XXX": ("INVALID_CURRENCY", "not a currency code")},
    "amount": {
        "12,50x": ("INVALID_NUMBER", 'amount is not a number: "12,50x"'),
        "1e3": ("INVALID_NUMBER", "amount is not a number"),
        "NaN": ("INVALID_NUMBER", "amount is not a number"),
        "1.2.3": ("INVALID_NUMBER", "amount is not a number"),
        "1,23,456": ("INVALID_NUMBER", "amount is not a number"),
        "€ 5": ("INVALID_NUMBER", "amount is not a number"),
        "1,234": ("AMBIGUOUS_NUMBER", "amount can be read in two ways"),
        "-12.345": ("AMBIGUOUS_NUMBER", "amount can be read in two ways"),
        "0.12345": ("OUT_OF_RANGE", "amount has more than 4 digits behind the point"),
        "123456789012345": ("OUT_OF_RANGE", "amount has more than 14 digits before the point"),
    },
    "count": {
        "1.5": ("INVALID_NUMBER", "count is not a whole number"),
        "-1": ("OUT_OF_RANGE", "count is less than 0"),
        "9" * 19: ("INVALID_NUMBER", "count is not a whole number"),
        "12x": ("INVALID_NUMBER", "count is not a whole number"),
    },
    "share": {"101": ("OUT_OF_RANGE", "share is greater than 100")},
    "even": {"3": ("INVALID_VALUE", 'even is not valid, it must be even: "3"')},
    "day": dict.fromkeys(
        ("2026-02-30", "01/02/2026", "31.1.26", "20260131", "1769817600", "2026-01-31T00:00:00Z", "x"),
        ("INVALID_DATE", "day is not a date such as 2026-01-31"),
    ),
    "time": dict.fromkeys(
        ("2026-01-31T25:00", "1769817600", "14:30", "2026-1-31", "2026-01-31T14:30:00 Europe/Berlin"),
        ("INVALID_DATE_TIME", "time is not a time such as 2026-01-31T14:30:00Z"),
    ),
    "flag": dict.fromkeys(("2", "maybe", "y e s"), ("INVALID_BOOLEAN", "flag is neither true nor false")),
    "note": {"a\0b": ("INVALID_CHARACTER", "note has a control character"), "n" * 257: ("TOO_LONG", "note has more")},
}


@pytest.mark.parametrize(
    ("name", "value", "expected"), [(name, value, made) for name in GOOD for value, made in GOOD[name].items()]
)
def test_value_is_understood(name: str, value: Any, expected: Any) -> None:
    """A value is taken as people write it, and is one value in all its forms."""
    found = read(name, value)
    assert (found, type(found)) == (expected, type(expected))
    if isinstance(found, Decimal):
        assert found.as_tuple() == expected.as_tuple()


@pytest.mark.parametrize(
    ("name", "value", "code", "words"), [(name, value, *told) for name in BAD for value, told in BAD[name].items()]
)
def test_wrong_value_is_told(name: str, value: Any, code: str, words: str) -> None:
    """A value that is none is told so in the words of its field."""
    failure = read(name, value)
    assert isinstance(failure, RowOutcome), failure
    assert (failure.status, failure.code, failure.column) == ("FAILED", code, name)
    assert words in failure.message
    assert len(failure.message) < 250


@pytest.mark.parametrize("name", THING.others)
@pytest.mark.parametrize("value", ["", "  ", None])
def test_any_optional_field_may_be_empty(name: str, value: Any) -> None:
    """An empty cell is no value, whatever the field is."""
    assert read(name, value) is None


@pytest.mark.parametrize("name", THING.others)
@pytest.mark.parametrize("value", [["x"], {"a": 1}, "\ud800"])
def test_what_is_no_text_fails(name: str, value: Any) -> None:
    """What JSON can carry and no field can be fails its row alone."""
    assert isinstance(read(name, value), RowOutcome)


@given(st.sampled_from(THING.others), st.text(max_size=12) | st.integers() | st.floats() | st.booleans())
def test_anything_is_taken_or_told(name: str, value: Any) -> None:
    """Whatever is in a cell, its row has one outcome, and a value of the field's type."""
    found = read(name, value)
    if not isinstance(found, RowOutcome) and found is not None:
        kinds = {Kind.TEXT: str, Kind.INTEGER: int, Kind.DECIMAL: Decimal, Kind.BOOLEAN: bool, Kind.DATE: date}
        [field] = [field for field in THING.fields if field.name == name]
        assert isinstance(found, kinds.get(field.kind, datetime))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_amounts_in_two_languages(value: Decimal) -> None:
    """An amount with thousands is the same, written as in English or as in German."""
    english = f"{value:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    assert read("amount", english) == read("amount", german) == value


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_times_are_utc(value: datetime, minutes: int) -> None:
    """A time is kept in UTC, to the millisecond."""
    local = value.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = read("time", local.isoformat())
    assert found.utcoffset() == timedelta(0)
    assert timedelta(0) <= local - found < timedelta(milliseconds=1)


# An amount and its currency


def chunk(*rows: dict[str, Any], mode: EmptyCells | None = None, fields: str = "id amount currency") -> CheckedChunk:
    return check_rows(THING.only(fields.split()), rows, 1, mode)


def test_amount_needs_its_currency() -> None:
    """An amount without a currency fails its row; a currency alone is nothing bad."""
    checked = chunk({"id": 1, "amount": 5}, {"id": 2, "amount": 5, "currency": "EUR"}, {"id": 3, "currency": "EUR"})
    assert checked.rows == [2, 3]
    [failure] = checked.failures
    assert (failure.row, failure.code, failure.column) == (1, "REQUIRED", "currency")
    assert failure.message == "currency is empty, and amount means nothing without it."
    without = chunk({"id": 1, "amount": 5}, {"id": 2}, fields="id amount")
    assert [failure.row for failure in without.failures] == [1]


def test_patched_amount_may_have_a_currency() -> None:
    """In a patch the record may have the currency; it cannot be cleared beside an amount."""
    rows = {"id": 1, "amount": 5}, {"id": 2, "amount": 5, "currency": "#N/A"}, {"id": 3, "currency": "#N/A"}
    checked = chunk(*rows, mode=EmptyCells.SKIP)
    assert checked.columns == [["1", "3"], [Decimal(5), KEEP], [KEEP, None]]
    assert [(failure.row, failure.column) for failure in checked.failures] == [(2, "currency")]
    assert chunk(*rows, mode=EmptyCells.SKIP, fields="id amount").failures == []


def test_first_fault_of_row_comes_first() -> None:
    """A row that has another fault is told of that."""
    [failure] = chunk({"id": "4.9E+11", "amount": 5}).failures
    assert failure.code == "ID_IN_SCIENTIFIC_NOTATION"


# Declarations


@pytest.mark.parametrize("entity", [*ENTITIES.values(), THING], ids=lambda entity: entity.name)
def test_schema_of_a_row(entity: Entity) -> None:
    """The schema is valid, names what is required, and has every field with a type."""
    schema = entity.json_schema()
    Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == list(entity.columns)
    assert schema["required"] == list(entity.required)
    assert (schema["key"], schema["unique"]) == (entity.key, [entity.unique] if entity.unique else [])
    assert all("type" in described for described in schema["properties"].values())
    assert schema["description"].endswith(".")


SAMPLES: dict[str, dict[str, Any]] = {
    "Contact": {"id": "1", "name": "Ada", "email": "ada@example.com", "status": "active"},
    "Company": {"id": "1", "name": "Acme", "website": "https://acme.example", "phone": "+493012345678", "employees": 7}
    | {"industry": "Steel", "country": "DE", "revenue": 12.5, "currency": "EUR", "foundedOn": "1999-12-31"}
    | {"customer": True},
    "Lead": {"id": "1", "name": "Ada", "email": "ada@example.com", "status": "new", "company": "Acme", "score": 50}
    | {"phone": "+493012345678", "source": "web", "newsletter": False, "contactedAt": "2026-01-31T10:00:00Z"},
    "Opportunity": {"id": "1", "name": "Deal", "stage": "won", "companyId": "7", "amount": 1.5, "currency": "EUR"}
    | {"probability": 100, "closesOn": "2026-12-31"},
    "Task": {"id": "1", "subject": "Call", "status": "open", "priority": "high", "description": "A\nB", "private": True}
    | {"assignee": "ada@example.com", "contactId": "7", "dueAt": "2026-01-31T10:00:00Z"},
}


@pytest.mark.parametrize("name", ENTITIES)
def test_rows_of_each_entity(name: str) -> None:
    """A row that fits the schema is taken, with all of its fields; an empty object is neither."""
    entity, row = ENTITIES[name], SAMPLES[name]
    schema = Draft202012Validator(entity.json_schema())
    assert schema.is_valid(row)
    assert set(row) == set(entity.columns)
    checked = check_rows(entity, [row], 1)
    assert checked.failures == []
    assert None not in checked.records[0].values()
    assert not schema.is_valid({})
    required = {field: value for field, value in row.items() if field in entity.required}
    assert schema.is_valid(required)
    assert check_rows(entity, [required], 1).rows == [1]


def test_entities_are_apart() -> None:
    """No two entities share a name or a collection, and each says in its key and its columns what it is."""
    assert list(ENTITIES) == ["Contact", "Company", "Lead", "Opportunity", "Task"]
    assert len({entity.collection for entity in ENTITIES.values()}) == len(ENTITIES)
    for entity in ENTITIES.values():
        assert entity.columns[0] == entity.key == "id"
        assert Columns(entity.columns).positions(entity) == tuple(range(len(entity.columns)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": Identifier, "x": list[str]}, "x: a field is one of str, int, Decimal, bool, date, datetime, not list"),
        ({"id": Identifier, "x": float}, "not float"),
        ({"id": Identifier, "$x": Name}, r"\$x cannot be the name of a field"),
        ({"id": Identifier, "a.b": Name}, "a.b cannot be"),
        ({"id": Identifier, "createdBy": Name}, "createdBy is what every record has"),
        ({"id": Identifier, "ID": Name}, "two fields have the same name"),
        ({"id": NotRequired[Identifier]}, "must be required fields"),
        ({"id": Count}, "and texts"),
        ({"id": Identifier, "amount": Amount}, "amount needs currency, which is no field"),
    ],
)
def test_bad_declaration_is_refused(fields: dict[str, Any], words: str) -> None:
    """A declaration that cannot work is refused when it is made."""
    model = TypedDict("Model", fields)  # type: ignore[operator]
    with pytest.raises(ValueError, match=words):
        Entity(name="Bad", model=model, collection="bad")


@given(st.sampled_from(["url", "phone", "country", "currency", "word", "note"]), st.text(max_size=20))
def test_normal_text_stays(name: str, value: str) -> None:
    """What was made of a text is a value, and stays as it is."""
    found = read(name, value)
    if isinstance(found, str):
        assert read(name, found) == found
