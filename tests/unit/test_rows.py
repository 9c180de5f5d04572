"""Chunks of rows: one outcome for each record, whatever the bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NotRequired, TypedDict, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.cells import KEEP, EmptyCells
from app.domain.csv.header import Columns
from app.domain.csv.spans import SpanScanner
from app.domain.entities import ENTITIES, Entity
from app.domain.entities.types import Name
from app.domain.rows import CheckedChunk, check_chunk, check_rows
from tests.support.headers import check_header
from tests.unit.test_csv_spans import rows_of

CONTACT = ENTITIES["Contact"]
COLUMNS = Columns(("id", "name", "email", "status"))
GOOD = "1,Ada,Ada@Example.com,ACTIVE"
ADA = {"id": "1", "name": "Ada", "email": "ada@example.com", "status": "active"}

FIELDS = st.sampled_from(
    ["", "1", " 2 ", "Ada", "a@b.co", "A@B.CO", "active", "Archived", "nope", '"q""q"', '"x\ny"', '"', "é", "\0"]
)
RECORDS = st.lists(FIELDS, max_size=6).map(",".join)
DATA = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b'"', b",", b"\r", b"\n", b"a", b"\xff", b"\xe2\x82"]), max_size=40).map(b"".join),
    st.tuples(st.lists(st.one_of(RECORDS, st.just(GOOD)), max_size=8), st.sampled_from(["\n", "\r\n", "\r"])).map(
        lambda pair: pair[1].join(pair[0]).encode()
    ),
)


def check(data: str | bytes, columns: Columns = COLUMNS, first_row: int = 1) -> CheckedChunk:
    return check_chunk(CONTACT, columns, data if isinstance(data, bytes) else data.encode(), ",", first_row)


def assert_whole(checked: CheckedChunk, first_row: int, count: int) -> None:
    """Each row has exactly one entry; valid rows are normalised records; messages stay short."""
    failed = [failure.row for failure in checked.failures]
    assert checked.rows == sorted(checked.rows)
    assert failed == sorted(failed)
    assert sorted(checked.rows + failed) == list(range(first_row, first_row + count))
    assert checked.row_count == count
    assert len(checked.records) == len(checked.rows)
    for record in checked.records:
        assert tuple(record) == CONTACT.columns
        assert check_rows(CONTACT, [record], 1).records == [record]
    for failure in checked.failures:
        assert failure.status == "FAILED"
        assert len(failure.message) <= 200
        failure.message.encode()


@given(DATA, st.integers(1, 10**9), st.sampled_from(",; "))
def test_records_have_one_outcome(data: bytes, first_row: int, delimiter: str) -> None:
    """Every record has exactly one outcome."""
    records = rows_of(data, delimiter)
    checked = check_chunk(CONTACT, COLUMNS, data, delimiter, first_row)
    assert_whole(checked, first_row, len(records))
    wrong = {first_row + i for i, record in enumerate(records) if len(record) != COLUMNS.width}
    found = {failure.row for failure in checked.failures if failure.code == "WRONG_FIELD_COUNT"}
    assert wrong - found <= {failure.row for failure in checked.failures if failure.code == "UNTERMINATED_QUOTE"}
    assert found <= wrong


@given(st.lists(st.lists(FIELDS.filter(lambda f: '"' not in f), min_size=4, max_size=4), max_size=8), st.data())
def test_quoted_fields_are_the_same(rows: list[list[str]], data: st.DataObject) -> None:
    """Quotes around every field change nothing."""
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    plain = "".join(",".join(row) + end for row in rows)
    quoted = "".join(",".join(f'"{field}"' for field in row) + end for row in rows)
    assert check(plain) == check(quoted) == check(plain.removesuffix(end))


def test_valid_rows_are_normalised() -> None:
    """Valid rows become normalised records in order."""
    checked = check(f'{GOOD}\n " 2" ,x,x@b.co,active\n\n"3","C, D",c@d.co, Pending \n', first_row=11)
    assert checked.rows == [11, 12, 13]
    assert checked.records[0] == ADA
    assert checked.records[2] == {"id": "3", "name": "C, D", "email": "c@d.co", "status": "pending"}
    assert checked.failures == []


@pytest.mark.parametrize("width", [1, 2, 4])
@given(data=st.data())
def test_scanner_and_parser_agree_on_rows(width: int, data: st.DataObject) -> None:
    """The rows that an upload counts are those that its chunks have, blank records among them or not."""
    fields = st.sampled_from(["", "", '""', "x", '"', '"q""q"', '"a\n,,"'])
    rows = data.draw(st.lists(st.lists(fields, min_size=width, max_size=width).map(",".join), max_size=8))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    body = end.join(rows).encode() + (end.encode() if data.draw(st.booleans()) else b"")
    header = ",".join(["id", "name", "email", "status"][:width]).encode()
    scanner = SpanScanner(chunk_rows=data.draw(st.integers(1, 4)))
    scanner.feed(header + b"\n" + body)
    scanned = scanner.finish()
    entity = replace(CONTACT) if width == 4 else replace(CONTACT, model=_narrow(width), unique=None)
    columns = Columns(("id", "name", "email", "status")[:width])
    for span in scanned.index.spans(0, len(scanned.index)):
        chunk = (header + b"\n" + body)[span.start : span.end]
        assert check_chunk(entity, columns, chunk, ",", span.first_row).row_count == span.rows


def _narrow(width: int) -> type:
    hints = get_type_hints(CONTACT.model, include_extras=True)
    return TypedDict("_Narrow", dict(list(hints.items())[:width]))  # type: ignore[operator]


@pytest.mark.parametrize("id_", ["E+1", "4.9e+11", "4.9E+11x", "A4E+11", "4.9E11", "4.E+11", "DE+49", "4.9E-11"])
def test_similar_id_is_the_same(id_: str) -> None:
    """An id that only looks alike is one."""
    checked = check(f"{id_},Ada,a@b.co,active\n")
    assert (checked.column("id"), checked.failures) == ([id_], [])


def test_damaged_id_of_producer_fails() -> None:
    """A damaged id of a producer fails as well."""
    checked = check_rows(CONTACT, [ADA, {**ADA, "id": "4.9E+11"}], 1)
    assert (checked.rows, [failure.code for failure in checked.failures]) == ([1], ["ID_IN_SCIENTIFIC_NOTATION"])


def test_columns_are_taken_by_name() -> None:
    """Columns are taken by name, and others are ignored."""
    columns = check_header(CONTACT, b"note,STATUS,Email,name,ID", ",")
    checked = check(b"\xff,ACTIVE,Ada@Example.com,Ada,1\n", columns)
    assert checked.records == [ADA]


def test_an_empty_chunk_has_no_rows() -> None:
    for data in ("", "\n", "\r\n\r\n"):
        checked = check(data)
        assert (checked.rows, checked.records, checked.failures) == ([], [], [])


@pytest.mark.parametrize(
    ("row", "code", "column", "message"),
    [
        ("1,Ada,a@b.co", "WRONG_FIELD_COUNT", None, "3 fields, the header has 4"),
        ("1,Ada,a@b.co,active,x", "WRONG_FIELD_COUNT", None, "5 fields, the header has 4"),
        (f"{GOOD},{GOOD}", "WRONG_FIELD_COUNT", None, "8 fields, the header has 4"),
        (",Ada,a@b.co,active", "REQUIRED", "id", "id is empty"),
        ("1,  ,a@b.co,active", "REQUIRED", "name", "name is empty"),
        ("1,Ada,,active", "REQUIRED", "email", "email is empty"),
        ("1,Ada,a@b.co,", "REQUIRED", "status", "status is empty"),
        ("1,Ada,a@b,active", "INVALID_EMAIL", "email", 'not an email address: "a@b"'),
        ("1,Ada,a@b.co,gone", "INVALID_STATUS", "status", 'active, inactive, pending, archived: "gone"'),
        ("1" * 129 + ",Ada,a@b.co,active", "TOO_LONG", "id", "more than 128 characters"),
        ("1," + "n" * 257 + ",a@b.co,active", "TOO_LONG", "name", "more than 256 characters"),
        ("1,Ada," + "a" * 255 + "@b.co,active", "TOO_LONG", "email", "more than 254 characters"),
        ("1\x07,Ada,a@b.co,active", "INVALID_CHARACTER", "id", 'control character: "1\ufffd"'),
        ("1,A\0da,a@b.co,active", "INVALID_CHARACTER", "name", "control character"),
        ("1,Ada,a\0@b.co,active", "INVALID_CHARACTER", "email", "control character"),
        ("1,Ada,a@b.co,act\0ive", "INVALID_CHARACTER", "status", "control character"),
        ("1,,bad,worse", "REQUIRED", "name", "name is empty"),
        ("4.9E+11,Ada,a@b.co,active", "ID_IN_SCIENTIFIC_NOTATION", "id", 'before saving: "4.9E+11"'),
        ("5E+11,Ada,a@b.co,active", "ID_IN_SCIENTIFIC_NOTATION", "id", "long number"),
        ('" 4,91235E+11",Ada,a@b.co,active', "ID_IN_SCIENTIFIC_NOTATION", "id", "format its column as text"),
    ],
)
def test_first_fault_of_row_is_told(row: str, code: str, column: str | None, message: str) -> None:
    """A failed row says what is wrong first."""
    checked = check(f"{GOOD}\n{row}\n{GOOD}\n")
    assert checked.rows == [1, 3]
    assert checked.records == [ADA, ADA]
    [failure] = checked.failures
    assert (failure.row, failure.status, failure.code, failure.column) == (2, "FAILED", code, column)
    assert message in failure.message


def test_only_non_utf8_rows_fail() -> None:
    """Only the rows that are not UTF-8 fail."""
    checked = check("1,Jürgen,a@b.co,active\n".encode() + b"2,J\xfcrgen,a@b.co,active\n3,J,\xe2\x82@b.co,active\n")
    assert [record["name"] for record in checked.records] == ["Jürgen"]
    assert [(f.row, f.code, f.column) for f in checked.failures] == [
        (2, "INVALID_UTF8", "name"),
        (3, "INVALID_UTF8", "email"),
    ]
    assert '"J\ufffdrgen"' in checked.failures[0].message


@pytest.mark.parametrize(
    ("tail", "column"),
    [
        ('2,"Bo,b@c.co,active\n', "name"),
        ('2,Bo,b@c.co,"active', "status"),
        ('"', "id"),
        (f'"{GOOD}\n{GOOD}\n', "id"),
        ('2,"a""', "name"),
        ('2,Bo,b@c.co,active,"more', None),
    ],
)
def test_open_quote_fails_last_row(tail: str, column: str | None) -> None:
    """A quote that is open at the end fails the last row in its column."""
    checked = check(f"{GOOD}\n{tail}")
    assert checked.records == [ADA]
    assert [(failure.row, failure.code, failure.column) for failure in checked.failures] == [
        (2, "UNTERMINATED_QUOTE", column)
    ]


def test_closed_quote_at_the_end() -> None:
    """A closed quote at the end is not an open one."""
    assert check('1,Ada,Ada@Example.com,"ACTIVE"').records == [ADA]


def test_oversized_fields_fail_alone() -> None:
    """Fields above the limit of the CSV module fail alone."""
    checked = check(f'{GOOD}\n2,"{"x" * 200_000}",a@b.co,active\n{GOOD}\n')
    assert [(failure.row, failure.code) for failure in checked.failures] == [(2, "TOO_LONG")]


# --- Rows that do not say everything ---


class Deal(TypedDict):
    code: Name
    title: Name
    note: NotRequired[Name]


DEAL = Entity(name="Deal", model=Deal, collection="deals", key="code")
NAMES = ("code", "title", "note")


def patch(*rows: str, mode: EmptyCells | None, names: tuple[str, ...] = NAMES, entity: Entity = DEAL) -> CheckedChunk:
    """Rows of deals, or of another entity, with some of its columns."""
    return check_chunk(entity.only(names), Columns(names), "\n".join(rows).encode(), ",", 1, mode)


def test_optional_field_may_be_empty() -> None:
    """A field that a record can be without may be empty, and says then that there is none."""
    checked = patch("1,A,x", "2,B,", "3,C,  ", "4,,x", mode=None)
    assert (checked.rows, checked.column("note")) == ([1, 2, 3], ["x", None, None])
    assert [(failure.row, failure.code) for failure in checked.failures] == [(4, "REQUIRED")]
    assert (DEAL.required, DEAL.others) == (("code", "title"), ("title", "note"))


@pytest.mark.parametrize("cell", ["", "  "])
@pytest.mark.parametrize(
    ("mode", "title", "note"),
    [
        ("skip", KEEP, KEEP),
        ("clear", "CANNOT_CLEAR", None),
        ("reject", "EMPTY_CELL", "EMPTY_CELL"),
    ],
)
def test_empty_cell_of_partial_row(cell: str, mode: str, title: Any, note: Any) -> None:
    """An empty cell keeps, clears or fails, as is asked for; a value that a record needs cannot be cleared."""
    for name, expected in (("title", title), ("note", note)):
        row = ",".join({"code": "1", "title": "T", "note": "N", name: cell}.values())
        checked = patch(row, "2,T,N", mode=EmptyCells(mode))
        if isinstance(expected, str):
            [failure] = checked.failures
            assert (failure.row, failure.code, failure.column) == (1, expected, name)
            assert failure.message.startswith(name)
            assert checked.rows == [2]
        else:
            assert checked.column(name) == [expected, "T" if name == "title" else "N"]
            assert checked.failures == []


@pytest.mark.parametrize("mode", EmptyCells)
def test_na_always_clears(mode: EmptyCells) -> None:
    """Whatever an empty cell means, #N/A clears; where rows say everything it is a text like others."""
    checked = patch("1,T,#N/A", "2,#N/A,N", "3,T, #N/A ", "4,T,#N/A!", mode=mode)
    assert (checked.rows, checked.column("note")) == ([1, 3, 4], [None, None, "#N/A!"])
    assert [(failure.row, failure.code, failure.column) for failure in checked.failures] == [
        (2, "CANNOT_CLEAR", "title")
    ]
    assert patch("1,T,#N/A", mode=None).column("note") == ["#N/A"]


@pytest.mark.parametrize("mode", EmptyCells)
def test_key_is_never_left_out(mode: EmptyCells) -> None:
    """Without its key no row says anything."""
    checked = patch(",T,N", "#N/A,T,N", mode=mode)
    assert [(failure.row, failure.code) for failure in checked.failures] == [(1, "REQUIRED")]
    assert checked.column("code") == ["#N/A"]


def test_bad_cell_of_partial_row_fails() -> None:
    """What is in a cell must be right, although it might be empty; the first that is wrong is told."""
    checked = patch("1,bad,", "2,,bad", mode=EmptyCells.SKIP, names=("id", "email", "status"), entity=CONTACT)
    assert [(f.row, f.code, f.column) for f in checked.failures] == [
        (1, "INVALID_EMAIL", "email"),
        (2, "INVALID_STATUS", "status"),
    ]


def test_claims_of_rows_with_gaps() -> None:
    """A row that says nothing of a unique field claims its key, and what nobody else can want."""
    names = ("id", "email")
    checked = patch("1,a@b.co", "2,", "3,#N/A", mode=EmptyCells.SKIP, names=names, entity=CONTACT)
    assert checked.claims == [["1", "2"], ["a@b.co", "\x002"]]
    assert patch("1", "2", mode=EmptyCells.SKIP, names=("id",), entity=CONTACT).claims == [["1", "2"]]


PLAIN = FIELDS.filter(lambda field: '"' not in field and "\0" not in field)


@given(st.lists(st.lists(PLAIN, min_size=3, max_size=3), max_size=6), st.sampled_from(EmptyCells))
def test_partial_rows_have_one_outcome(rows: list[list[str]], mode: EmptyCells) -> None:
    """Every row that does not say everything has exactly one outcome, and says what its cells say."""
    names = ("id", "name", "email")
    checked = patch(*map(",".join, rows), mode=mode, names=names, entity=CONTACT)
    kept = [row for row in rows if any(row)]
    assert sorted([*checked.rows, *(failure.row for failure in checked.failures)]) == list(range(1, len(kept) + 1))
    for position, row in enumerate(checked.rows):
        for name, cell in zip(names, kept[row - 1], strict=True):
            value = checked.column(name)[position]
            assert (value is KEEP) == (not cell.strip())
            assert value is KEEP or value.casefold() == cell.strip().casefold()


# --- Inline rows ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
INLINE = st.one_of(JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(CONTACT.columns, JSON | FIELDS)))


@given(st.lists(INLINE, max_size=6), st.integers(1, 10**9))
def test_inline_rows_have_one_outcome(rows: list[Any], first_row: int) -> None:
    """Every inline row has exactly one outcome."""
    assert_whole(check_rows(CONTACT, rows, first_row), first_row, len(rows))


def test_inline_rows_are_validated() -> None:
    """Inline rows are validated as rows of a file are."""
    rows = [{"status": " Active", "id": " 1", "name": "Ada", "email": "Ada@Example.com", "more": [1]}]
    assert check_rows(CONTACT, rows, 1).records == [ADA]


def test_inline_row_need_not_say_all() -> None:
    """What a partial object does not have is kept; null is an empty cell."""
    checked = check_rows(DEAL, [{"code": 1}, {"code": 2, "note": None, "title": "T"}], 1, EmptyCells.CLEAR)
    assert checked.columns == [["1", "2"], [KEEP, "T"], [KEEP, None]]
    assert check_rows(DEAL, [{"code": 1, "title": "T"}], 1).columns == [["1"], ["T"], [None]]


def test_numbers_become_strings() -> None:
    rows = json.loads('[{"id": 1, "name": 2.5, "email": "a@b.co", "status": "active"}]')
    assert check_rows(CONTACT, rows, 1).records == [{"id": "1", "name": "2.5", "email": "a@b.co", "status": "active"}]


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (None, "INVALID_VALUE", None),
        ("1,Ada,a@b.co,active", "INVALID_VALUE", None),
        ([1, 2], "INVALID_VALUE", None),
        ({}, "REQUIRED", "id"),
        ({**ADA, "name": None}, "REQUIRED", "name"),
        ({**ADA, "name": float("nan")}, "REQUIRED", "name"),
        ({**ADA, "name": ""}, "REQUIRED", "name"),
        ({**ADA, "name": True}, "INVALID_VALUE", "name"),
        ({**ADA, "name": {"first": "Ada"}}, "INVALID_VALUE", "name"),
        ({**ADA, "email": 7}, "INVALID_EMAIL", "email"),
        ({**ADA, "status": 1}, "INVALID_STATUS", "status"),
        ({**ADA, "name": "\ud800"}, "INVALID_UTF8", "name"),
    ],
)
def test_bad_inline_row_fails_alone(row: Any, code: str, column: str | None) -> None:
    """An inline row that cannot be taken fails alone."""
    checked = check_rows(CONTACT, [ADA, row, ADA], 5)
    assert checked.rows == [5, 7]
    assert [(failure.row, failure.code, failure.column) for failure in checked.failures] == [(6, code, column)]
