"""The header of a file: which column is which field, or what is wrong with it in the words of the uploader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.column_mapping import MappingError, parse_mapping
from app.domain.csv.header import MAX_HEADER_BYTES, Columns, HeaderError, read_header
from app.domain.csv.spans import SpanScanner
from app.domain.entities import ENTITIES
from app.domain.operations import OPERATIONS
from tests.support.headers import check_header

CONTACT = ENTITIES["Contact"]


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
        (b"id,name,mail", r"^Missing columns: email, status\. The file has: id, name, mail\. .*Probably this mapping"),
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


@pytest.mark.parametrize(
    ("action_type", "header", "fields", "ignored"),
    [
        ("BULK_UPDATE", b"x,Email,ID,name,status", ("id", "name", "email", "status"), ["x"]),
        ("BULK_CREATE", b"x,Email,ID,name,status", ("id", "name", "email", "status"), ["x"]),
        ("BULK_PATCH", b"x,Email,ID", ("id", "email"), ["x"]),
        ("BULK_DELETE", b"x,Email,ID,email", ("id",), ["x", "Email", "email"]),
        ("BULK_DELETE", b"id", ("id",), []),
    ],
)
def test_columns_that_an_action_type_has(
    action_type: str, header: bytes, fields: tuple[str, ...], ignored: list[str]
) -> None:
    """What rows have of their entity is what the action type looks at, as far as the file has it."""
    operation = OPERATIONS[action_type]
    columns = check_header(CONTACT, header, ",", operation=operation)
    part = columns.part_of(CONTACT, operation)
    assert (part.columns, columns.ignored(part)) == (fields, ignored)


@pytest.mark.parametrize(
    ("action_type", "header", "missing"),
    [
        ("BULK_UPDATE", b"id,name", "email, status"),
        ("BULK_CREATE", b"id,name", "email, status"),
        ("BULK_PATCH", b"name,email,status", "id"),
        ("BULK_DELETE", b"name,email,status", "id"),
    ],
)
def test_columns_that_an_action_type_needs(action_type: str, header: bytes, missing: str) -> None:
    """A file that lacks a column which its action type needs is refused, and so is a message that says it has it."""
    operation = OPERATIONS[action_type]
    with pytest.raises(HeaderError, match=f"^Missing columns: {missing}\\."):
        check_header(CONTACT, header, ",", operation=operation)
    with pytest.raises(HeaderError, match=f"^Missing columns: {missing}\\."):
        Columns(tuple(header.decode().split(","))).part_of(CONTACT, operation)


@pytest.mark.parametrize(
    ("action_type", "header", "hint"),
    [
        ("BULK_UPDATE", b"id,name", True),
        ("BULK_UPDATE", b"name,email,status", False),
        ("BULK_UPDATE", b"id;name;email;status", False),
        ("BULK_CREATE", b"id,name", False),
    ],
)
def test_short_file_is_told_of_patches(action_type: str, header: bytes, hint: bool) -> None:
    """An update that lacks columns, but not the key, is told how to change only those that it has."""
    with pytest.raises(HeaderError) as error:
        check_header(CONTACT, header, ",", operation=OPERATIONS[action_type])
    assert ("BULK_UPDATE sets every field; to change only those" in str(error.value)) == hint


def test_patch_needs_a_column_to_change() -> None:
    """A file that could change nothing is refused, with what was probably meant."""
    with pytest.raises(HeaderError, match=r"^No column to change: .* has only id\. .*Probably") as error:
        check_header(CONTACT, b"id,E-Mail,x", ",", operation=OPERATIONS["BULK_PATCH"])
    assert str(error.value).endswith('{"E-Mail": "email"}.')


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
