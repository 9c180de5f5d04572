"""CSV text: parsing as ``csv.reader`` does, and refusing what is no CSV at all.

Sources: RFC 4180; the state machine of CPython's ``Modules/_csv.c`` (excel dialect, ``strict=False``).
"""

from __future__ import annotations

import codecs
import csv
import io
import re

# csv.reader refuses fields above a limit that is global to the process (131,072 characters). The door bounds
# fields and records (``SpanScanner``), so the second limit could only turn one bad row into a lost chunk.
csv.field_size_limit(2**31 - 1)

SAMPLE_BYTES = 64 * 1024
"""How much of the start of an upload ``refuse_reason`` looks at."""

# Neither may be part of a record of its own making: a delimiter is never NUL, and NUL needs no quotes.
_SENTINEL = "\0"

_BYTE_ORDER_MARKS = (
    # UTF-32 first: its little-endian mark begins with the one of UTF-16.
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

_MAGIC = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"BZh91AY&SY", "a bzip2 archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x7fELF", "a program"),
)

# Each of these may begin a header, so they only explain a header that does not fit.
_OTHER_TEXT = (
    (re.compile(rb"\s*<(!doctype\s+html|html|head|body|table|!--)\b", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"\s*<(\?xml\b|[a-z][\w:.-]*[\s/>])", re.IGNORECASE), "XML"),
    (re.compile(rb"\s*(\{\s*(\"|$)|\[\s*([\[{\"\d]|$))"), "JSON"),
    (re.compile(rb"\{\\rtf"), "a text document (RTF)"),
    (re.compile(rb"(From:|Received:|Return-Path:|MIME-Version:) "), "a mail"),
)


def read_records(text: str, delimiter: str) -> tuple[list[list[str]], bool]:
    """Parse whole records exactly as ``csv.reader`` does on a file opened with ``newline=""``.

    Returns:
        The records in order, without those that have nothing but empty fields (blank lines among them), and whether
        a quote is still open at the end; if so, the last record is the one that has it (and some characters too many).
    """
    # A record of our own behind the text: an open quote swallows it, nothing else can.
    lines = io.StringIO(f"{text}\n{_SENTINEL}\n", newline="")
    records = [record for record in csv.reader(lines, delimiter=delimiter) if any(record)]
    if records[-1] == [_SENTINEL]:
        records.pop()
        return records, False
    return records, True


def refuse_reason(sample: bytes, delimiter: str = ",") -> str | None:
    """Say in one sentence why an upload cannot be a CSV file of ours, or return None when it can.

    One bad byte in an otherwise good file is no reason: the row that has it fails later, alone.

    Args:
        sample: The first ``SAMPLE_BYTES`` of the upload (more is ignored), or all of it when it is smaller.
        delimiter: The byte between two fields; it decides where a record with quotes ends.
    """
    whole_file = len(sample) < SAMPLE_BYTES
    sample = sample[:SAMPLE_BYTES]
    for mark, encoding in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return f"The file is {encoding}, please save it as UTF-8."
    for magic, kind in _MAGIC:
        if sample.startswith(magic):
            return f"The file is binary (looks like {kind}), not CSV."
    if 0 in sample:
        # In UTF-16, text in Latin letters has a zero in nearly every second byte and in none of the others.
        zeros = sorted((sample[0::2].count(0), sample[1::2].count(0)))
        if zeros[0] == 0 and zeros[1] * 4 > len(sample):
            return "The file looks like UTF-16 (it has no byte-order mark), please save it as UTF-8."
        return "The file is binary (it contains NUL bytes), not CSV."
    if sample.isascii():
        return None
    return _refuse_encoding(sample, delimiter, whole_file)


def other_text(header: bytes) -> str | None:
    """Say what a file looks like whose first record is no header of ours: a page, a document; None: like nothing."""
    return next((kind for pattern, kind in _OTHER_TEXT if pattern.match(header)), None)


def _refuse_encoding(sample: bytes, delimiter: str, whole_file: bool) -> str | None:
    """Refuse a header, or half of the rows and more, that are not UTF-8."""
    # Invalid bytes become lone surrogates, one for each, so that they stay in the record that has them. A
    # sequence cut off by the end of the sample is left out.
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    records, _ = read_records(decoder.decode(sample.removeprefix(codecs.BOM_UTF8), whole_file), delimiter)
    bad = [not all(map(_is_unicode, record)) for record in records]
    if bad[:1] == [True]:
        return "The file is not UTF-8: its header is not. Please save the file as UTF-8."
    rows = bad[1:] if whole_file else bad[1:-1]
    if rows and sum(rows) * 2 >= len(rows):
        return (
            f"The file is not UTF-8: {sum(rows):,} of its first {len(rows):,} rows are not, beginning "
            f"with row {rows.index(True) + 1:,}. Please save the file as UTF-8."
        )
    return None


def _is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate, as an undecodable byte becomes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
