"""The mapping of columns: read strictly, applied to the header once, and in the words of the user's own file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.column_mapping import MappingError, parse_mapping
from app.domain.entities import ENTITIES, Columns, HeaderError, _mapped, check_header
from app.domain.rows import check_chunk
from tests.support.factories import make_action
from web.representations import action_to_response

CONTACT = ENTITIES["Contact"]
HEADER = b"Nr,Kunde,Mail,Zustand,Notiz"
MAPPING = {"Nr": "id", "Kunde": "name", "Mail": "email", "Zustand": "status"}


def test_a_mapping_is_an_object_of_columns_to_fields_or_null() -> None:
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
def test_what_is_no_mapping_is_refused_and_why_is_said(text: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        parse_mapping(text)


@given(st.text(max_size=60))
def test_text_of_any_kind_is_a_mapping_or_refused(text: str) -> None:
    try:
        parse_mapping(text)
    except MappingError as refused:
        assert len(str(refused)) < 300


def test_a_mapped_header_has_a_field_for_each_column() -> None:
    columns = check_header(CONTACT, HEADER, ",", MAPPING)
    assert columns == Columns(("Nr", "Kunde", "Mail", "Zustand", "Notiz"), ("id", "name", "email", "status", ""))
    assert columns.positions(CONTACT) == (0, 1, 2, 3)
    assert columns.ignored(CONTACT) == ["Notiz"]
    assert columns.labels(CONTACT) == ("Nr", "Kunde", "Mail", "Zustand")


def test_names_of_a_mapping_match_whatever_their_case_and_blanks() -> None:
    columns = check_header(CONTACT, b"ID, kunde ,email,status", ",", {" KUNDE ": " Name "})
    assert columns.fields == ("id", "name", "email", "status")


def test_columns_that_the_mapping_does_not_name_keep_their_own_name() -> None:
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
def test_a_mapping_that_does_not_fit_is_refused_with_the_names(
    header: bytes, mapping: dict[str, str | None], words: str
) -> None:
    with pytest.raises(MappingError, match=words):
        check_header(CONTACT, header, ",", mapping)


def test_a_field_for_which_the_mapping_leaves_no_column_is_missed() -> None:
    with pytest.raises(HeaderError, match="With this mapping no column is left for: email"):
        check_header(CONTACT, b"id,name,email,status", ",", {"email": None})


@pytest.mark.parametrize("rows", [b"1,A,nope,active,x\n", b'1,A,"nope",active,x\n'])
def test_a_row_is_told_about_its_own_column(rows: bytes) -> None:
    checked = check_chunk(CONTACT, check_header(CONTACT, HEADER, ",", MAPPING), rows, ",", 1)
    [failure] = checked.failures
    assert (failure.column, failure.code) == ("Mail", "INVALID_EMAIL")
    assert failure.message == 'Mail is not an email address: "nope"'


def test_a_row_with_an_open_quote_is_told_about_its_own_column() -> None:
    columns = check_header(CONTACT, HEADER, ",", MAPPING)
    [failure] = check_chunk(CONTACT, columns, b'1,A,"open', ",", 1).failures
    assert (failure.column, failure.code) == ("Mail", "UNTERMINATED_QUOTE")


def test_a_column_with_an_endless_name_makes_no_endless_messages() -> None:
    name = "M\x01" * 9000
    mapping = {"Nr": "id", "Kunde": "name", name: "email", "Zustand": "status"}
    columns = check_header(CONTACT, HEADER.replace(b"Mail", name.encode()), ",", mapping)
    [failure] = check_chunk(CONTACT, columns, b"1,A,nope,active,x\n", ",", 1).failures
    assert failure.column is not None
    assert len(failure.column) == 60
    assert failure.column.isprintable()
    assert len(failure.message) <= 200


def test_an_action_shows_what_its_columns_became() -> None:
    def mapping(**fields: Any) -> Any:
        return action_to_response(make_action(columns=["Nr", "Notiz"], **fields))["mapping"]

    assert mapping(fields=["id", ""]) == {"Nr": "id", "Notiz": None}
    assert mapping(fields=None) is None
    assert mapping() is None


def test_a_mapping_of_every_column_is_looked_up_not_searched_for() -> None:
    """So many comparisons of names as there are columns, a few times over: 1,000 columns took a million."""
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


def test_a_header_has_so_many_columns_and_no_more() -> None:
    header = ",".join(["id", "name", "email", "status", *(f"c{number}" for number in range(496))]).encode()
    assert check_header(CONTACT, header, ",").width == 500
    with pytest.raises(HeaderError, match="has 501 columns, and may have 500"):
        check_header(CONTACT, header + b",one more", ",")
