"""The registry of entities, the rules of their fields, and the check of a file's header."""

from __future__ import annotations

import json
from typing import Annotated, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import StringConstraints
from pydantic_core import ValidationError

from app.domain.csv.column_mapping import MappingError, parse_mapping
from app.domain.csv.spans import SpanScanner
from app.domain.entities import (
    ENTITIES,
    MAX_HEADER_BYTES,
    Columns,
    Entity,
    HeaderError,
    check_header,
    find_entity,
    read_header,
)
from app.domain.rows import check_chunk

CONTACT = ENTITIES["Contact"]


def value(column: str, text: str) -> str:
    result = CONTACT.value_validators[CONTACT.columns.index(column)].validate_python(text)
    assert isinstance(result, str)
    return result


class Deal(TypedDict):
    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def test_contact_columns() -> None:
    """A contact is declared with its columns in order."""
    assert CONTACT.columns == ("id", "name", "email", "status")
    assert (CONTACT.key, CONTACT.unique, CONTACT.collection) == ("id", "email", "contacts")


def test_a_new_entity_is_one_declaration() -> None:
    deal = Entity(name="Deal", model=Deal, collection="deals", key="code")
    checked = check_chunk(deal, Columns(("code",)), b" a \n\nb\n", ",", 1)
    assert checked.records == [{"code": "a"}, {"code": "b"}]
    assert (checked.rows, checked.failures) == ([1, 2], [])


@pytest.mark.parametrize("options", [{"key": "id"}, {"key": "code", "unique": "email"}])
def test_key_fields_are_of_the_model(options: dict[str, str]) -> None:
    """Key and unique field must be fields of the model."""
    with pytest.raises(ValueError, match="must be fields"):
        Entity(name="Deal", model=Deal, collection="deals", **options)


@pytest.mark.parametrize("name", ["Contact", "contact", " CONTACT "])
def test_entity_name_ignores_case(name: str) -> None:
    """Entities are found whatever their case."""
    assert find_entity(name) is CONTACT


def test_an_unknown_entity_is_none() -> None:
    assert find_entity("Spaceship") is None


@pytest.mark.parametrize(
    ("given_text", "normalised"),
    [
        (" Ada.Lovelace@Example.COM ", "ada.lovelace@example.com"),
        ("a+tag@b.co", "a+tag@b.co"),
        ("a@sub.sub.example.museum", "a@sub.sub.example.museum"),
        ("o'neill_1@my-host.org", "o'neill_1@my-host.org"),
        ("jürgen@bücher.de", "jürgen@bücher.de"),
        ("a@xn--bcher-kva.xn--p1ai", "a@xn--bcher-kva.xn--p1ai"),
        ("1@2.io", "1@2.io"),
        ("x" * 242 + "@example.com", "x" * 242 + "@example.com"),
    ],
)
def test_good_addresses_are_lowered(given_text: str, normalised: str) -> None:
    """Ordinary addresses are accepted and put into lower case."""
    assert value("email", given_text) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b.co",
        "a@",
        "a@b",
        "a@b.",
        "a@.co",
        "a@b..co",
        "a@-b.co",
        "a@b-.co",
        "a@b.c",
        "a@1.2.3.4",
        "a@b@c.co",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.co",
        "a b@c.co",
        "a@b .co",
        "a\n@b.co",
        "a\0@b.co",
        "a,b@c.co",
        "<a@b.co>",
        "x" * 243 + "@example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        value("email", text)


@pytest.mark.parametrize("text", ["active", " Inactive", "PENDING", "archived "])
def test_status_ignores_case(text: str) -> None:
    """A status is accepted whatever its case."""
    assert value("status", text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", "activ", "activee", "active\0", "actıve", "a|b"])
def test_any_other_status_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        value("status", text)


@pytest.mark.parametrize(("column", "limit"), [("id", 128), ("name", 256)])
def test_text_length_is_limited(column: str, limit: int) -> None:
    """Texts have at least one character and no more than the limit."""
    assert value(column, " é ") == "é"
    assert value(column, f" {'é' * limit} ") == "é" * limit
    for text in ("", "   ", "\u3000\t", "é" * (limit + 1)):
        with pytest.raises(ValidationError):
            value(column, text)


@given(st.sampled_from(CONTACT.columns), st.text(st.characters(exclude_categories=["Cs"])))
def test_normalising_is_idempotent(column: str, text: str) -> None:
    """A normalised value is valid and stays as it is."""
    try:
        once = value(column, text)
    except ValidationError:
        return
    assert value(column, once) == once
    assert "\0" not in once


@pytest.mark.parametrize("char", ["\0", "\n", "\t", "\x1f", "\x7f", "\x85"])
def test_an_id_has_no_control_characters(char: str) -> None:
    with pytest.raises(ValidationError):
        value("id", f"a{char}b")


# --- Headers ---


def test_columns_are_found_by_name() -> None:
    """Columns are found whatever their order, case, blanks and quotes."""
    columns = check_header(CONTACT, b'Status;" E-Mail ";"EMAIL"; Id;"na""me"; name ', ";")
    assert columns == Columns(("Status", "E-Mail", "EMAIL", "Id", 'na"me', "name"))
    assert columns.width == 6
    assert columns.positions(CONTACT) == (3, 5, 2, 0)
    assert columns.ignored(CONTACT) == ["E-Mail", 'na"me']


def test_columns_round_trip() -> None:
    """Columns come back from the list of names as which they are sent."""
    columns = check_header(CONTACT, b"id,name,email,status,x", ",")
    assert Columns(tuple(json.loads(json.dumps(columns.names)))) == columns


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"id,name,mail", r"^Missing columns: email, status\. The file has: id, name, mail\. Probably this mapping"),
        (b"id;name;email;status", r"Missing columns: .* use \";\" between the columns"),
        (b"id\tname\temail\tstatus", "a tab between the columns"),
        (b"id|name|email|status", r'use "\|" between'),
        (b"id,name,email,status,Email", r"^Columns named twice: email\."),
        (b'id,"name,email,status\n1,2,3,4', "A quote in the header is not closed"),
        ("id,näme,email,status".encode("latin-1"), "not UTF-8"),
        (b"", "Missing columns: id, name, email, status"),
        (b"1,Ada,ada@example.com,active", "The file has: 1, Ada, ada@example.com, active"),
        (b"x" * 5000, "The file has: x{39}…"),
        (b"id," * MAX_HEADER_BYTES, "larger than 32 KiB"),
    ],
)
def test_misfit_header_is_refused(header: bytes, message: str) -> None:
    """A header that does not fit is refused in the words of the uploader."""
    with pytest.raises(HeaderError, match=message):
        check_header(CONTACT, header, ",")


def test_wrong_delimiter_is_noticed() -> None:
    """A header with commas is noticed when another delimiter was given."""
    with pytest.raises(HeaderError, match='use "," between'):
        check_header(CONTACT, b"id,name,email,status", ";")


def test_ignored_columns_may_repeat() -> None:
    """Ignored columns may have the same name."""
    assert check_header(CONTACT, b"id,name,email,status,,", ",").width == 6


def test_message_header_lacks_column() -> None:
    """A header from a message that lacks a column is refused."""
    with pytest.raises(HeaderError, match="Missing columns: status"):
        Columns(("id", "name", "email")).positions(CONTACT)


@given(st.binary(max_size=60), st.sampled_from(",;|\t"))
def test_any_header_is_taken_or_refused(header: bytes, delimiter: str) -> None:
    """Any header is taken or refused with a message."""
    try:
        check_header(CONTACT, header, delimiter)
    except HeaderError as error:
        assert 10 < len(str(error)) < 600


@given(st.permutations(["id", "name", "email", "status", 'a "b"', "é\r\nf"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_scanned_header_is_read_whole(names: list[str], end: str) -> None:
    """The header that the scanner finds is read whole."""
    record = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    scanner = SpanScanner()
    scanner.feed(f"\ufeff{record}{end}1".encode())
    assert scanner.header is not None
    assert check_header(CONTACT, scanner.header, ",").names == tuple(names)


# What a refused header says of how it can be made to fit


@pytest.mark.parametrize(
    ("header", "mapping"),
    [
        (b"id,name,E-Mail,status", '{"E-Mail": "email"}'),
        (b"Contact ID,Full Name,E-mail Address,State", "all"),
        (b"id,name,emial,status", '{"emial": "email"}'),
        (b"Nr;Kunde;Mail;Zustand".replace(b";", b","), "all"),
    ],
)
def test_header_error_suggests_columns(header: bytes, mapping: str) -> None:
    """A refused header names what probably fits."""
    with pytest.raises(HeaderError, match="Probably this mapping fits: ") as error:
        check_header(CONTACT, header, ",")
    said = json.loads(str(error.value).partition("fits: ")[2].removesuffix("."))
    if mapping != "all":
        assert said == json.loads(mapping)
    # What is proposed can be sent as it is.
    assert check_header(CONTACT, header, ",", parse_mapping(json.dumps(said))).positions(CONTACT)


def test_header_error_names_mapping() -> None:
    """A header that nothing fits names the mapping."""
    with pytest.raises(HeaderError, match="can be given by mapping, such as "):
        check_header(CONTACT, b"a,b,c,d", ",")


def test_all_header_faults_are_told() -> None:
    """Everything that is wrong with a header is told."""
    columns, wrong = read_header(CONTACT, b"id,name,id,phone", ",")
    assert columns is None
    assert [str(error).partition(":")[0] for error in wrong] == ["Missing columns", "Columns named twice"]
    columns, wrong = read_header(CONTACT, b"id,name,email,status", ",", {"a": "id", "name": "x", "b": None})
    assert [type(error) for error in wrong] == [MappingError] * 3
