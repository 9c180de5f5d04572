"""Results files: the columns that were uploaded, what became of each row, and the way back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.header import Columns, read_header
from app.domain.csv.spans import SpanScanner
from app.domain.csv.text import decoded, raw_records
from app.domain.entities import ENTITIES
from app.domain.outcome_entries import RowOutcome, duplicate_of
from app.domain.result_files import ChunkResults, CsvResults, JsonResults, record_ids
from app.domain.rows import CheckedChunk, check_chunk

CONTACT = ENTITIES["Contact"]
COLUMNS = Columns(("id", "name", "email", "status"))
RESULTS = ["_row", "_status", "_code", "_column", "_message", "_recordId"]


def judged(
    data: bytes,
    columns: Columns = COLUMNS,
    delimiter: str = ",",
    exceptions: Sequence[RowOutcome] | None = None,
    shown: Sequence[int] | None = None,
) -> ChunkResults:
    """The results of a chunk of which each valid row made a new record."""
    records = raw_records(decoded(data), delimiter)
    if exceptions is None:
        exceptions = check_chunk(CONTACT, columns, data, delimiter, 1).failures
    return ChunkResults(
        records,
        1,
        ["CREATED"] * len(records.texts),
        record_ids(CONTACT, columns, records, delimiter),
        {failure.row: failure for failure in exceptions},
        range(len(records.texts)) if shown is None else shown,
    )


def read(made: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(made.decode(), newline=""), delimiter=delimiter))


def csv_of(chunk: ChunkResults, columns: Columns = COLUMNS, delimiter: str = ",") -> bytes:
    made = CsvResults(columns, delimiter, mark=False)
    return made.begin() + made.rows(chunk)


PLAIN = b"1,Ada,ada@example.com,active\r\n2,Bo,nobody,active\r\n3,Cy,cy@example.com,active\r\n"
QUOTED = b'1,"Ada",ada@example.com,active\n2,Bo,nobody,active\n3,Cy,cy@example.com,active\n'
NOT_AN_ADDRESS = 'email is not an email address: "nobody"'
EXPECTED = [
    ["id", "name", "email", "status", *RESULTS],
    ["1", "Ada", "ada@example.com", "active", "1", "SUCCESS", "CREATED", "", "", "1"],
    ["2", "Bo", "nobody", "active", "2", "FAILED", "INVALID_EMAIL", "email", NOT_AN_ADDRESS, ""],
    ["3", "Cy", "cy@example.com", "active", "3", "SUCCESS", "CREATED", "", "", "3"],
]


@pytest.mark.parametrize("data", [PLAIN, QUOTED])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_rows_have_their_outcomes(data: bytes, delimiter: str) -> None:
    """The columns stand as they were uploaded, and what became of the row behind them, with the file's delimiter."""
    data = data.replace(b",", delimiter.encode())
    assert read(csv_of(judged(data, delimiter=delimiter), delimiter=delimiter), delimiter) == EXPECTED


def test_rows_of_json_have_names() -> None:
    """As JSON each row has the names of the columns, and null for what there is not."""
    lines = JsonResults(COLUMNS, ",").rows(judged(PLAIN)).splitlines()
    assert [json.loads(line) for line in lines] == [
        dict(zip(EXPECTED[0], [*row[:4], int(row[4]), *(cell or None for cell in row[5:])], strict=True))
        for row in EXPECTED[1:]
    ]


@pytest.mark.parametrize("data", [PLAIN, QUOTED])
def test_only_wanted_rows_are_written(data: bytes) -> None:
    chosen = judged(data, shown=[1])
    assert read(CsvResults(COLUMNS, ",", mark=False).rows(chosen)) == EXPECTED[2:3]
    [line] = JsonResults(COLUMNS, ",").rows(chosen).splitlines()
    assert json.loads(line)["_row"] == 2


def test_duplicates_name_their_owner() -> None:
    skipped = judged(PLAIN, exceptions=[duplicate_of(3, 1)], shown=[2])
    [row] = read(CsvResults(COLUMNS, ",", mark=False).rows(skipped))
    assert row[4:] == ["3", "SKIPPED", "DUPLICATE", "", "Row 1 of this file has the same record.", ""]


def test_formulas_are_defused_everywhere() -> None:
    """Cells, names of columns, ids and messages: nothing that begins with a sign of a formula is left."""
    columns = Columns(("=id", "name", "email", "status", "@note"), ("id", "name", "email", "status", ""))
    data = b'=1,+A,a@b.co,active,-x\n@2,\'=B,nobody,active,"\t=y"\n'
    for part in (data, data.splitlines(keepends=True)[0]):
        made = read(csv_of(judged(part, columns), columns))
        assert made[0] == ["'=id", "name", "email", "status", "'@note", *RESULTS]
        assert made[1] == ["'=1", "'+A", "a@b.co", "active", "'-x", "1", "SUCCESS", "CREATED", "", "", "'=1"]
    assert read(csv_of(judged(data, columns), columns))[2][:5] == ["'@2", "''=B", "nobody", "active", "'\t=y"]
    columns = Columns(("id", "name", "email", "=s", "n"), ("id", "name", "email", "status", ""))
    failed = read(csv_of(judged(b"1,A,a@b.co,=1,x\n", columns), columns))[1]
    assert failed[8:10] == ["'=s", '\'=s is not one of active, inactive, pending, archived: "=1"']


def test_odd_rows_keep_all_they_have() -> None:
    """A short row is filled up, what a long one has too much stands behind, and an open quote is the cell it made."""
    data = b'1,Ada\n2,Bo,b@example.com,active,more,=x\n3,Cy,"open\n4,x'
    made = read(csv_of(judged(data)))
    assert made[1][:5] == ["1", "Ada", "", "", "1"]
    assert (made[2][:5], made[2][10:]) == (["2", "Bo", "b@example.com", "active", "2"], ["more", "'=x"])
    assert made[3][:5] == ["3", "Cy", "open\n4,x", "", "3"]
    rows = [json.loads(line) for line in JsonResults(COLUMNS, ",").rows(judged(data)).splitlines()]
    assert rows[1]["_surplus"] == ["more", "=x"]
    assert "_surplus" not in rows[0]


def test_unreadable_bytes_are_replaced() -> None:
    """What is no UTF-8 is shown as the sign for that, and stays a failure when it comes back uncorrected."""
    made = csv_of(judged("1,Grün,a@b.co,active\n".encode() + b"2,Br\xffken,b@b.co,active\n"))
    assert made.decode().count("\ufffd") == 2
    again = check_again(made)
    assert [(failure.row, failure.code) for failure in again.failures] == [(2, "INVALID_UTF8")]


def test_json_names_are_distinct() -> None:
    columns = Columns(("id", "name", "email", "status", "note", "note", "_code", "Note"))
    [line] = JsonResults(columns, ",").rows(judged(b"1,A,a@b.co,active,x,y,z,w\n", columns)).splitlines()
    assert list(json.loads(line)) == [
        "id",
        "name",
        "email",
        "status",
        "note",
        "note (2)",
        "_code (2)",
        "Note",
        *RESULTS,
    ]


def test_mark_is_for_spreadsheets() -> None:
    """Without a byte-order mark Excel would take UTF-8 for the encoding of the country."""
    begin = CsvResults(COLUMNS, ";", mark=True).begin()
    assert begin.decode() == "\ufeff" + ";".join([*COLUMNS.names, *RESULTS]) + "\r\n"


# The way back


def check_again(made: bytes, delimiter: str = ",") -> CheckedChunk:
    """What a results file becomes when it is uploaded."""
    scanner = SpanScanner(delimiter=delimiter)
    scanner.feed(made)
    scan = scanner.finish()
    assert scan.header is not None
    columns, wrong = read_header(CONTACT, scan.header, delimiter)
    assert columns is not None, wrong
    assert columns.ignored(CONTACT) == []
    assert columns.of_results
    [span] = scan.index.spans(0, 9)
    return check_chunk(CONTACT, columns, made[span.start : span.end], delimiter, 1)


CELL = st.text("'=+-@\t\r\n ＝aé1\",;|", min_size=1, max_size=8)
ROWS = st.lists(
    st.tuples(CELL, CELL, st.sampled_from(["a@b.co", "=a@b.co", "'=x", "nobody"]), st.sampled_from(["active", "=x"])),
    min_size=1,
    max_size=12,
)


@given(ROWS, st.sampled_from(",;|\t"), st.booleans())
def test_what_comes_back_is_the_same(rows: list[tuple[str, ...]], delimiter: str, quoted: bool) -> None:
    """Results that are uploaded as they are become the records, and the failures, of the file they are made of."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows(rows)
    data = file.getvalue().encode()
    first = check_chunk(CONTACT, COLUMNS, data, delimiter, 1)
    chunk = judged(data, delimiter=delimiter)
    made = csv_of(chunk, delimiter=delimiter)
    again = check_again(made, delimiter)
    assert (again.rows, again.columns) == (first.rows, first.columns)
    assert [failure.row for failure in again.failures] == [failure.row for failure in first.failures]
    assert [failure.code for failure in again.failures] == [failure.code for failure in first.failures]
    # And once more, from the results of what came back.
    header, _, returned = made.partition(b"\r\n")
    columns, _ = read_header(CONTACT, header, delimiter)
    assert columns is not None
    more = judged(returned, columns, delimiter, list(chunk.exceptions.values()))
    assert read(csv_of(more, columns, delimiter), delimiter) == read(made, delimiter)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"1,Ada\n2,Bo,b@b.co,active\n3,Cy,c@c.co\n", ["WRONG_FIELD_COUNT", "WRONG_FIELD_COUNT"]),
        (b"1,Ada,a@b.co,active,x,y\n2,Bo,b@b.co,active,\n", ["WRONG_FIELD_COUNT", "WRONG_FIELD_COUNT"]),
        (b'1,"Ada,a@b.co,active\n2,Bo', ["WRONG_FIELD_COUNT"]),
    ],
)
def test_odd_rows_come_back_odd(data: bytes, codes: list[str]) -> None:
    """What has too many or too few cells has so still when it comes back uncorrected, and nothing is made up."""
    made = csv_of(judged(data))
    assert [failure.code for failure in check_again(made).failures] == codes
    file = io.StringIO(newline="")
    csv.writer(file).writerows([*row[:2], "c@c.co", "active", *row[4:10]] for row in read(made)[1:])
    header = made.partition(b"\r\n")[0] + b"\r\n"
    assert check_again(header + file.getvalue().encode()).failures == []


def test_results_need_their_row_column() -> None:
    """Without ``_row`` a file is like any other; with it the apostrophes are taken off, and our columns left out."""
    header = b"id,name,email,status,_row,_code,mine"
    columns, _ = read_header(CONTACT, header, ",")
    assert columns is not None
    assert columns.ignored(CONTACT) == ["mine"]
    row = b"'=1,'=A,a@b.co,active,7,X,y\n"
    assert check_chunk(CONTACT, columns, row, ",", 1).records[0]["id"] == "=1"
    plain, _ = read_header(CONTACT, header.replace(b"_row", b"_raw"), ",")
    assert plain is not None
    assert plain.ignored(CONTACT) == ["_raw", "_code", "mine"]
    assert check_chunk(CONTACT, plain, row, ",", 1).records[0]["id"] == "'=1"


def test_our_columns_count_for_nothing() -> None:
    """A file with as many columns as there may be comes back with ours."""
    names = [*COLUMNS.names, *(f"c{number}" for number in range(6))]
    assert read_header(CONTACT, ",".join([*names, *RESULTS]).encode(), ",", max_columns=10)[0] is not None
    assert read_header(CONTACT, ",".join([*names, "more", *RESULTS]).encode(), ",", max_columns=10)[0] is None


def test_kept_texts_are_shown() -> None:
    refused = RowOutcome(2, "FAILED", "WRITE_REFUSED", "The database did not take this record: x.", "email")
    [row] = read(CsvResults(COLUMNS, ",", mark=False).rows(judged(PLAIN, exceptions=[refused], shown=[1])))
    assert row[5:] == ["FAILED", "WRITE_REFUSED", "email", "The database did not take this record: x.", ""]
