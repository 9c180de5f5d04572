"""The span scanner against csv.reader, for any file, any blocks and any sizes."""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.domain.csv import spans as csv_spans
from app.domain.csv.spans import (
    BlankLinesError,
    CsvError,
    FieldTooLargeError,
    RecordTooLargeError,
    Scan,
    Span,
    SpanIndex,
    SpanScanner,
    TooManyRowsError,
)
from app.domain.csv.text import raw_records, read_records

HEADER = b"id,name,email,status\n"

# Mostly the bytes that move the state machine; text strategies of their own would hardly ever nest quotes.
TRICKY = st.text(st.sampled_from('"""",,;\r\n\n ax\0é漢🙂\u2028\x85\ufeff'), max_size=80)
TABLE = st.lists(
    st.lists(st.sampled_from(["", "a", "é", '"a,b"', '"x\r\ny"', '"q""q"', '""', 'a"b', '"a"b', '"']), max_size=4),
    max_size=12,
).flatmap(lambda rows: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(map(",".join, rows))))
FILES = st.builds(
    lambda mark, text: mark + text.encode(), st.sampled_from([b"", b"\xef\xbb\xbf"]), st.one_of(TRICKY, TABLE)
)
ANY_BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b'"', b",", b"\r", b"\n", b"a", b"\xff", b"\xef\xbb\xbf"]), max_size=60).map(b"".join),
)
CUTS = st.lists(st.integers(0, 90), max_size=8).map(sorted)
DELIMITERS = st.sampled_from(",;\t a")
# Small windows and thresholds bring the ways for large and for small input, and the changes between them, to
# small files.
SIZES = st.fixed_dictionaries(
    {
        "_WINDOW": st.sampled_from([1, 2, 7, 64, 256 * 1024]),
        "_SMALL": st.sampled_from([0, 8, 1024]),
        "_CAREFUL": st.sampled_from([1, 5, 8192]),
    }
)


def patched(sizes: dict[str, int]) -> Any:
    options: dict[str, Any] = dict(sizes)
    return patch.multiple(csv_spans, **options)


def rows_of(data: bytes, delimiter: str) -> list[list[str]]:
    """The records as csv.reader reads them from a file opened with newline="", without those of empty fields only."""
    text = data.decode(errors="surrogateescape")
    records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    # A quote that is still open swallows what follows; its record is one, although nothing may be in it.
    open_quote = [*csv.reader(io.StringIO(f"{text}\n\0", newline=""), delimiter=delimiter)][-1] != ["\0"]
    return [record for i, record in enumerate(records, 1) if any(record) or (open_quote and i == len(records))]


def scan(data: bytes, cuts: Iterable[int] = (), **options: Any) -> Scan:
    scanner = SpanScanner(**options)
    begin = 0
    for cut in [*cuts, len(data)]:
        scanner.feed(data[begin:cut])
        begin = max(begin, cut)
    return scanner.finish()


def spans_of(result: Scan) -> list[Span]:
    return result.index.spans(0, len(result.index))


def check_against_reader(data: bytes, result: Scan, delimiter: str) -> None:
    """Header, count, tiling, row numbers and the rows of every span."""
    mark = b"\xef\xbb\xbf"
    expected = rows_of(data.removeprefix(mark), delimiter)
    assert result.size == len(data)
    assert result.row_count == result.index.row_count == max(0, len(expected) - 1)
    if not expected:
        assert result.header is None
        assert len(result.index) == 0
        return
    assert result.header is not None
    spans = spans_of(result)
    found: list[list[str]] = []
    for i, span in enumerate(spans):
        following = spans[i + 1] if i + 1 < len(spans) else None
        assert span.end == (following.start if following else len(data))
        assert span.first_row == len(found) + 1
        rows = read_records(data[span.start : span.end].decode(errors="surrogateescape"), delimiter)[0]
        if following:
            assert rows
            found += rows
        else:
            # The last span may end within a quote; there read_records has more to say than csv.reader.
            found += rows_of(data[span.start :], delimiter)
    assert found == expected[1:]
    if spans:
        before = data[: spans[0].start].removeprefix(mark)
        assert rows_of(before, delimiter) == expected[:1]
        assert before.strip(b"\r\n").endswith(result.header.strip(b"\r\n"))


@given(FILES, CUTS, DELIMITERS, st.integers(1, 5), st.sampled_from([1, 4, 30, 4096]), SIZES)
@example(b'a\r\n"b\r\n"\r\n', [2, 5, 9], ",", 1, 1, {"_SMALL": 0})
@example(b'\xef\xbb\xbf"a""', [1, 2], ",", 1, 1, {"_SMALL": 0})
def test_spans_match_csv_reader(
    data: bytes, cuts: list[int], delimiter: str, chunk_rows: int, chunk_bytes: int, sizes: dict[str, int]
) -> None:
    """Spans hold exactly the rows that csv.reader yields."""
    with patched(sizes):
        result = scan(data, cuts, delimiter=delimiter, chunk_rows=chunk_rows, chunk_bytes=chunk_bytes)
    check_against_reader(data, result, delimiter)


@given(ANY_BYTES, CUTS, DELIMITERS, SIZES)
def test_spans_of_any_bytes(data: bytes, cuts: list[int], delimiter: str, sizes: dict[str, int]) -> None:
    """Spans of any bytes hold what csv.reader yields, unless their first line is ``sep=;``, which is no record here."""
    with patched(sizes):
        result = scan(data, cuts, delimiter=delimiter, chunk_rows=2)
    assume(not result.declared)
    check_against_reader(data, result, delimiter)


@given(
    st.one_of(FILES, ANY_BYTES),
    CUTS,
    st.integers(1, 12),
    st.integers(1, 20),
    st.integers(1, 3),
    st.sampled_from([1, 9]),
    SIZES,
)
@example(b"h\na\n\n\n\n\nabcdef\n", [1], 2, 3, 1, 1, {"_SMALL": 0})
def test_blocks_do_not_matter(
    data: bytes,
    cuts: list[int],
    max_field: int,
    max_record: int,
    chunk_rows: int,
    chunk_bytes: int,
    sizes: dict[str, int],
) -> None:
    """Result and error do not depend on how the file is cut into blocks."""

    def outcome(cuts: Iterable[int]) -> Scan | tuple[type[CsvError], str]:
        try:
            return scan(
                data,
                cuts,
                max_field_bytes=max_field,
                max_record_bytes=max_record,
                chunk_rows=chunk_rows,
                chunk_bytes=chunk_bytes,
            )
        except CsvError as error:
            return type(error), str(error)

    whole = outcome([])
    assert outcome(range(len(data))) == whole
    with patched(sizes):
        assert outcome(cuts) == whole


@given(FILES, st.integers(1, 5), st.integers(1, 40))
def test_chunk_closes_at_a_limit(data: bytes, chunk_rows: int, chunk_bytes: int) -> None:
    """A chunk closes after CHUNK_ROWS, or with the row that reaches CHUNK_BYTES."""
    result = scan(data, chunk_rows=chunk_rows, chunk_bytes=chunk_bytes)
    spans = spans_of(result)
    rows = spans_of(scan(data, chunk_rows=1))  # every row on its own, with the blank lines before it
    closing = [*(span.first_row for span in spans), result.row_count + 1][1:]
    for span, next_row in zip(spans, closing, strict=True):
        inside = rows[span.first_row - 1 : next_row - 1]
        assert 1 <= len(inside) <= chunk_rows
        assert all(row.end - span.start < chunk_bytes for row in inside[:-1])
        if next_row <= result.row_count:
            assert len(inside) == chunk_rows or inside[-1].end - span.start >= chunk_bytes


def long_quoted_rows(end: bytes) -> bytes:
    row = b'%d,"Doe, ""J""' + end + b'x",a%d@example.com,"active"' + end
    return HEADER + b"".join(row % (i, i) for i in range(20_000))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("block", [1000, 65_536, 1 << 20])
def test_many_windows_match_csv_reader(end: bytes, block: int) -> None:
    """Files of many windows agree with csv.reader."""
    data = long_quoted_rows(end)
    check_against_reader(data, scan(data, range(block, len(data), block)), ",")


def test_fast_path_survives_stray_quote() -> None:
    """The fast path goes on behind a stray quote."""
    plain = b'%d,"Doe, J",a@example.com,active\n'
    stray = b'%d,5" nail,a@example.com,"active\n"\n'
    data = HEADER + b"".join((plain if i % 1000 else stray) % i for i in range(20_000))
    slow_way = SpanScanner._match_records
    with patch.object(SpanScanner, "_match_records", autospec=True, side_effect=slow_way) as slow:
        result = scan(data)
    check_against_reader(data, result, ",")
    matched = sum(call.args[3] - call.args[2] for call in slow.call_args_list)
    assert 0 < matched < len(data)


EXAMPLES: list[tuple[str, bytes, bytes | None, list[bytes]]] = [
    ("LF", b"h\na\nb\n", b"h", [b"a\n", b"b\n"]),
    ("CR LF", b"h\r\na\r\nb\r\n", b"h", [b"a\r\n", b"b\r\n"]),
    ("lone CR", b"h\ra\rb\r", b"h", [b"a\r", b"b\r"]),
    ("a missing last newline", b"h\na\nb", b"h", [b"a\n", b"b"]),
    ("blank lines between rows", b"h\na\n\n\r\nb\n", b"h", [b"a\n", b"\n\r\nb\n"]),
    ("blank lines before the header", b"\n\r\nh\na\n", b"h", [b"a\n"]),
    ("blank lines before the first row", b"h\n\n\na\n", b"h", [b"\n\na\n"]),
    ("blank lines at the end", b"h\na\n\n\r\n\r", b"h", [b"a\n\n\r\n\r"]),
    ("LF CR is a line end and a blank line", b"h\n\ra\n\r", b"h", [b"\ra\n\r"]),
    ("a byte-order mark", b"\xef\xbb\xbfh\na\n", b"h", [b"a\n"]),
    ("half a byte-order mark", b"\xef\xbb", b"\xef\xbb", []),
    ("only a byte-order mark", b"\xef\xbb\xbf", None, []),
    ("only a header", b"h,i", b"h,i", []),
    ("only a header and blank lines", b"h,i\n\n\n", b"h,i", []),
    ("an empty file", b"", None, []),
    ("only blank lines", b"\n\r\n\r", None, []),
    ("a quoted newline", b'h\n"a\nb"\nc\n', b"h", [b'"a\nb"\n', b"c\n"]),
    ("a quoted CR LF", b'h\n"a\r\nb"\r\nc\n', b"h", [b'"a\r\nb"\r\n', b"c\n"]),
    ("doubled quotes", b'h\n"a""\n""b"\nc\n', b"h", [b'"a""\n""b"\n', b"c\n"]),
    ("an empty quoted field", b'h\n"",a\n""\n', b"h", [b'"",a\n""\n']),
    ("a quote inside a field is literal", b'h\na"b\nc\n', b"h", [b'a"b\n', b"c\n"]),
    ("a quote behind a blank is literal", b'h\n "a\nc\n', b"h", [b' "a\n', b"c\n"]),
    ("text behind a closing quote is literal", b'h\n"a"b"\nc\n', b"h", [b'"a"b"\n', b"c\n"]),
    ("an open quote takes the rest", b'h\na\n"b\nc\n', b"h", [b"a\n", b'"b\nc\n']),
    ("a quoted header", b'"h\nh"\na\n', b'"h\nh"', [b"a\n"]),
    ("an open quote in the header", b'"h\na\n', b'"h\na', []),
    ("a record of nothing but a delimiter", b"h\n,\n", b"h", []),
]


@pytest.mark.parametrize("split", ["whole", "single bytes"])
@pytest.mark.parametrize(
    ("data", "header", "rows"), [case[1:] for case in EXAMPLES], ids=[case[0] for case in EXAMPLES]
)
def test_record_ends_match_csv_reader(data: bytes, header: bytes | None, rows: list[bytes], split: str) -> None:
    """Records end where csv.reader ends them."""
    result = scan(data, range(len(data)) if split == "single bytes" else [], chunk_rows=1)
    assert result.header == header
    assert [data[span.start : span.end] for span in spans_of(result)] == rows
    check_against_reader(data, result, ",")


def test_header_is_known_early() -> None:
    """Header is known as soon as it is complete."""
    scanner = SpanScanner()
    for i in range(len(HEADER)):
        assert scanner.header is None
        scanner.feed(HEADER[i : i + 1])
    assert scanner.header == b"id,name,email,status"


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r", "\0", "é"])
def test_bad_delimiters_are_refused(delimiter: str) -> None:
    """Impossible delimiters are refused."""
    with pytest.raises(ValueError, match="delimiter"):
        SpanScanner(delimiter=delimiter)


@pytest.mark.parametrize("option", ["chunk_rows", "chunk_bytes", "max_field_bytes", "max_record_bytes"])
def test_impossible_sizes_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SpanScanner(**{option: 0})  # type: ignore[arg-type]


# --- Limits ---


def test_oversized_field_names_row() -> None:
    """A field above the limit is named by its row."""
    with pytest.raises(FieldTooLargeError, match=r"^Row 2 has a field larger than 128 KiB\.$"):
        scan(HEADER + b"1,a,b,c\n2," + b"x" * 131_073 + b",b,c\n")
    assert scan(HEADER + b"1," + b"x" * 131_072 + b",b,c\n").row_count == 1


def test_open_quote_is_suspected() -> None:
    """An open quote is suspected when a quoted field is too large."""
    with pytest.raises(FieldTooLargeError, match=r"Row 2 .* 128 KiB; perhaps a quote is not closed in it\."):
        scan(HEADER + b'1,a,b,c\n2,"x,b,c\n' + b"3,a,b,c\n" * 50_000)


def test_oversized_record_names_row() -> None:
    """A record above the limit is named by the row where it starts."""
    with pytest.raises(RecordTooLargeError, match=r"Row 2 is larger than 1 MiB; perhaps a quote"):
        scan(HEADER + b"1,a,b,c\n" + b"2," * 600_000)
    assert scan(HEADER + b"x".ljust(1 << 20, b",") + b"\n").row_count == 1


def test_oversized_header_is_named() -> None:
    """A header above the limit is named."""
    with pytest.raises(RecordTooLargeError, match="The header is larger than 1 MiB"):
        scan(b"h," * 600_000)


def test_endless_blank_lines_are_refused() -> None:
    with pytest.raises(BlankLinesError, match="1 MiB of blank lines after row 1"):
        scan(HEADER + b"1,a,b,c\n" + b"\n" * 1_100_000 + b"2,a,b,c\n")


@pytest.mark.parametrize("body", [b'"', b"x", b",", b"\n", b"\r", b'"a\n'])
def test_memory_stays_bounded(body: bytes) -> None:
    """Memory stays bounded whatever is fed."""
    block = body * (65_536 // len(body))
    scanner = SpanScanner()
    scanner.feed(HEADER)
    tracemalloc.start()
    try:
        with suppress(CsvError):
            for _ in range(100):
                scanner.feed(block)
            scanner.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


# --- Linear time ---


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


@pytest.mark.parametrize(
    "body",
    [b'"', b",", b"\r", b"\n", b"x", b'""\n', b'a"\n', b'a",', b'"",', b'"\n', b'"a"b\n', b'"a\n'],
    ids=repr,
)
@pytest.mark.parametrize("block", [1, 1 << 18, 1 << 24])
def test_time_is_linear_on_hostile_files(body: bytes, block: int) -> None:
    size = 20_000 if block == 1 else 500_000

    def run(size: int) -> None:
        data = HEADER + body * (size // len(body))
        scan(data, range(0, len(data), block), max_field_bytes=1 << 30, max_record_bytes=1 << 30)

    # Four times the bytes: 4 when linear, 16 when quadratic. The constant covers timer noise of short runs.
    assert seconds(lambda: run(4 * size)) < 8 * min(seconds(lambda: run(size)) for _ in range(2)) + 0.2


# --- The index ---


def test_index_window_is_enough() -> None:
    """A window of the stored index is enough to know its spans."""
    result = scan(HEADER + b"".join(b"%d,a,b,c\n" % i for i in range(1000)), chunk_rows=7)
    stored = result.index.to_bytes()
    assert len(result.index) == 143
    assert len(stored) == 16 * 144
    assert SpanIndex.from_bytes(stored) == result.index
    assert SpanIndex.from_bytes(stored).row_count == 1000
    begin, end = SpanIndex.window_range(30, 10)
    assert SpanIndex.spans_from_window(stored[begin:end]) == [result.index.span(i) for i in range(30, 40)]
    begin, end = SpanIndex.window_range(140, 10)
    assert SpanIndex.spans_from_window(stored[begin:end]) == result.index.spans(140, 3)


def test_unknown_chunk_is_refused() -> None:
    """A chunk that is not there is refused."""
    index = scan(HEADER + b"1,a,b,c\n").index
    for i in (-1, 1):
        with pytest.raises(IndexError):
            index.span(i)


@pytest.mark.parametrize("data", [b"", b"1234567"])
def test_bad_index_is_refused(data: bytes) -> None:
    """Bytes that are no index are refused."""
    with pytest.raises(ValueError, match="Not a span index"):
        SpanIndex.from_bytes(data)


# Blank records, and a first line that names the delimiter

BLANKS = st.lists(
    st.sampled_from(
        [b"", b",", b",,,", b'""', b'"",""', b',""', b",,x", b'""""', b'" "', b'"', b"x,,", b'"",x', b",;"]
    ),
    max_size=14,
).flatmap(lambda rows: st.sampled_from([b"\n", b"\r\n", b"\r"]).map(lambda end: end.join(rows)))


@given(BLANKS, CUTS, st.sampled_from(",; "), st.integers(1, 3), SIZES)
def test_empty_records_are_blank(
    data: bytes, cuts: list[int], delimiter: str, chunk_rows: int, sizes: dict[str, int]
) -> None:
    """Records of empty fields are blank, before the header or behind it, and however the file arrives."""
    with patched(sizes):
        check_against_reader(data, scan(data, cuts, delimiter=delimiter, chunk_rows=chunk_rows), delimiter)


def test_spreadsheet_tail_has_no_rows() -> None:
    """The empty records at the end of a spreadsheet are not rows."""
    result = scan(b",,,\r\n" + HEADER + b"1,a,a@b.co,active\r\n" + b",,,\r\n" * 1000 + b",,,")
    assert (result.header, result.row_count) == (HEADER.strip(), 1)


@given(
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"sep=%b", b'"sep=%b"', b"SEP=%b"]),
    st.sampled_from(",;|\t"),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    TABLE,
    CUTS,
    SIZES,
)
def test_sep_line_sets_delimiter(
    mark: bytes, line: bytes, delimiter: str, end: bytes, table: str, cuts: list[int], sizes: dict[str, int]
) -> None:
    """A first line decides the delimiter.

    What follows it is scanned as the file would be without it, with that delimiter.
    """
    start = mark + line % delimiter.encode() + end
    body = table.replace(",", delimiter).encode()
    with patched(sizes):
        result = scan(start + body, cuts, delimiter="|" if delimiter != "|" else ",", chunk_rows=2)
        plain = scan(body, delimiter=delimiter, chunk_rows=2) if not body.startswith(b"\n") or end != b"\r" else result
    assert (result.delimiter, result.declared) == (delimiter, True)
    assert (result.header, result.row_count) == (plain.header, plain.row_count)
    if plain is not result:
        moved = [(span.start - len(start), span.end - len(start)) for span in spans_of(result)]
        assert moved == [(span.start, span.end) for span in spans_of(plain)]


@pytest.mark.parametrize(
    "start", [b"sep=", b"sep=x\n", b"sep=;;\n", b"sep=;,\n", b'"sep=;\n', b"x\nsep=;\n", b" sep=;\n"]
)
def test_another_first_line_is_a_record(start: bytes) -> None:
    result = scan(start + b"a,b\n")
    assert (result.delimiter, result.declared) == (",", False)
    assert result.header is not None


@pytest.mark.parametrize("block", [1, 7, 100_000])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_too_many_rows(block: int, end: bytes) -> None:
    """A file may have so many rows and no more.

    That is decided while it streams in: at the first block in which there are too many.
    """

    def scan(rows: int) -> Scan:
        scanner = SpanScanner(max_rows=1000)
        data = HEADER + b"\n".join([b"a,b,c,d"] * rows) + end
        for start in range(0, len(data), block):
            scanner.feed(data[start : start + block])
        return scanner.finish()

    assert scan(1000).row_count == 1000
    with pytest.raises(TooManyRowsError, match="more than 1,000 rows"):
        scan(1001)


# Records as they are written


@given(FILES, DELIMITERS)
def test_raw_records_are_those_of_the_reader(data: bytes, delimiter: str) -> None:
    """What is passed on as it is written has the cells that ``csv.reader`` finds, and leaves nothing out."""
    text = data.decode("utf-8-sig")
    records, open_quote = read_records(text, delimiter)
    if open_quote:
        records[-1][-1] = records[-1][-1].removesuffix("\n\0\n")
    raw = raw_records(text, delimiter)
    assert [raw.cells(place, delimiter) for place in range(len(raw.texts))] == records
    assert raw.open_quote == open_quote
    for place, written in enumerate(raw.texts):
        if not (open_quote and place == len(raw.texts) - 1):
            assert read_records(f"{written}{delimiter}end\n", delimiter) == ([[*records[place], "end"]], False)
