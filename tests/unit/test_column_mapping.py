"""The mapping of columns: read strictly, applied to the header once, and in the words of the user's own file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.column_mapping import MappingError, parse_mapping
from app.domain.csv.header import Columns, HeaderError, _mapped
from app.domain.entities import ENTITIES
from app.domain.rows import check_chunk
from tests.support.factories import make_action
from tests.support.headers import check_header
from web.representations import action_to_response

CONTACT = ENTITIES["Contact"]
HEADER = b"Nr,Kunde,Mail,Zustand,Notiz"
MAPPING = {"Nr": "id", "Kunde": "name", "Mail": "email", "Zustand": "status"}


def test_mapping_format() -> None:
    """A mapping is an object of columns to fields or null."""
    assert parse_mapping(' {"Nr": "id", "Notiz": null} ') == {"Nr": "id", "Notiz": None}
    assert parse_mapping("{}") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id=Nr", "not JSON"),
        ("", "not JSON"),
        ('{"a": "id"', "not JSON"),
        ('{"a": "id"} {}', "not JSON"),
        ("{'a': 'id'}", "not JSON"),
        ("[" * 16_000, "not JSON"),
        ('{"a":' * 3000, "not JSON"),
        ("1" * 5000, "not JSON"),
        ("null", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ('[["a", "id"]]', "must be a JSON object"),
        ('"id"', "must be a JSON object"),
        ('{"a": 1}', '"a" must go to the name of a field or to null'),
        ('{"a": true}', '"a" must go to'),
        ('{"a": NaN}', '"a" must go to'),
        ('{"a": ["id"]}', '"a" must go to'),
        ('{"a": {"b": "id"}}', '"a" must go to'),
        ('{"a": "id", "a": "name"}', 'column "a" twice'),
        ('{"a": "id", " A ": "name"}', 'column " A " twice'),
        ('{"a": "id", "a": "id"}', 'column "a" twice'),
    ],
)
def test_bad_mapping_is_refused(text: str, words: str) -> None:
    """What is not a mapping is refused, and the message says why."""
    with pytest.raises(MappingError, match=words):
        parse_mapping(text)


@given(st.text(max_size=60))
def test_any_text_is_mapping_or_refused(text: str) -> None:
    """Text of any kind is a mapping or refused."""
    try:
        parse_mapping(text)
    except MappingError as refused:
        assert len(str(refused)) < 300


def test_mapped_header_has_all_fields() -> None:
    """A mapped header has a field for each column."""
    columns = check_header(CONTACT, HEADER, ",", MAPPING)
    assert columns == Columns(("Nr", "Kunde", "Mail", "Zustand", "Notiz"), ("id", "name", "email", "status", ""))
    assert columns.positions(CONTACT) == (0, 1, 2, 3)
    assert columns.ignored(CONTACT) == ["Notiz"]
    assert columns.labels(CONTACT) == ("Nr", "Kunde", "Mail", "Zustand")


def test_mapping_ignores_case_and_blanks() -> None:
    """Names of a mapping match whatever their case and the blanks around them."""
    columns = check_header(CONTACT, b"ID, kunde ,email,status", ",", {" KUNDE ": " Name "})
    assert columns.fields == ("id", "name", "email", "status")


def test_unmapped_columns_keep_names() -> None:
    """Columns that the mapping does not name keep their own name."""
    columns = check_header(CONTACT, b"id,name,private,email,status", ",", {"email": None, "private": "email"})
    assert columns.positions(CONTACT) == (0, 1, 2, 4)
    assert columns.ignored(CONTACT) == ["email"]


def test_fields_can_change_places() -> None:
    columns = check_header(CONTACT, b"name,id,email,status", ",", {"name": "id", "id": "name"})
    assert columns.positions(CONTACT) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("header", "mapping", "words"),
    [
        (HEADER, {**MAPPING, "Telefon": None}, "column Telefon, which the file does not have. The file has: Nr, Kunde"),
        (HEADER, {**MAPPING, "Notiz": "phone"}, "field phone, which Contact does not have. .*id, name, email, status"),
        (HEADER, {**MAPPING, "Notiz": ""}, "field , which Contact does not have"),
        (HEADER, {**MAPPING, "Notiz": "email"}, "would be the field email: Mail, Notiz. Map all but one"),
        (b"id,name,email,status,mail", {"mail": "email"}, "would be the field email: email, mail"),
        (HEADER + b",nr", MAPPING, "column Nr, which the file has more than once"),
        (HEADER, {**MAPPING, "x" * 5000: "id"}, "column x+…, which the file does not have"),
    ],
)
def test_misfit_mapping_is_refused(header: bytes, mapping: dict[str, str | None], words: str) -> None:
    """A mapping that does not fit the header is refused with the names."""
    with pytest.raises(MappingError, match=words):
        check_header(CONTACT, header, ",", mapping)


def test_unmapped_field_is_missed() -> None:
    """A field for which the mapping leaves no column is reported as missing."""
    with pytest.raises(HeaderError, match="With this mapping no column is left for: email"):
        check_header(CONTACT, b"id,name,email,status", ",", {"email": None})


@pytest.mark.parametrize("rows", [b"1,A,nope,active,x\n", b'1,A,"nope",active,x\n'])
def test_error_names_own_column(rows: bytes) -> None:
    """The error of a row names the column of the uploader's own file."""
    checked = check_chunk(CONTACT, check_header(CONTACT, HEADER, ",", MAPPING), rows, ",", 1)
    [failure] = checked.failures
    assert (failure.column, failure.code) == ("Mail", "INVALID_EMAIL")
    assert failure.message == 'Mail is not an email address: "nope"'


def test_open_quote_names_own_column() -> None:
    """The error of a row with an open quote names the column of the uploader's own file."""
    columns = check_header(CONTACT, HEADER, ",", MAPPING)
    [failure] = check_chunk(CONTACT, columns, b'1,A,"open', ",", 1).failures
    assert (failure.column, failure.code) == ("Mail", "UNTERMINATED_QUOTE")


def test_long_column_name_is_shortened() -> None:
    """A column with an endless name makes no endless messages."""
    name = "M\x01" * 9000
    mapping = {"Nr": "id", "Kunde": "name", name: "email", "Zustand": "status"}
    columns = check_header(CONTACT, HEADER.replace(b"Mail", name.encode()), ",", mapping)
    [failure] = check_chunk(CONTACT, columns, b"1,A,nope,active,x\n", ",", 1).failures
    assert failure.column is not None
    assert len(failure.column) == 60
    assert failure.column.isprintable()
    assert len(failure.message) <= 200


def test_action_shows_its_mapping() -> None:
    """An action shows what its columns became."""

    def mapping(**fields: Any) -> Any:
        return action_to_response(make_action(columns=["Nr", "Notiz"], **fields))["mapping"]

    assert mapping(fields=["id", ""]) == {"Nr": "id", "Notiz": None}
    assert mapping(fields=None) is None
    assert mapping() is None


def test_mapping_is_looked_up() -> None:
    """A mapping of every column is looked up, not searched for.

    So many comparisons of names as there are columns, a few times over: 1,000 columns took a million.
    """
    compared = 0

    class Name(str):
        __hash__ = str.__hash__

        def casefold(self) -> Name:
            return Name(super().casefold())

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

    names = tuple(Name(f"column {number}") for number in range(1000))
    _mapped(CONTACT, names, {str(name): None for name in names}, [])
    assert compared < 10_000


def test_too_many_columns() -> None:
    """A header may have so many columns and no more."""
    header = ",".join(["id", "name", "email", "status", *(f"c{number}" for number in range(496))]).encode()
    assert check_header(CONTACT, header, ",").width == 500
    with pytest.raises(HeaderError, match="has 501 columns, and may have 500"):
        check_header(CONTACT, header + b",one more", ",")
