"""A file on its way into the storage: what is refused by its start, and what is kept of what is taken."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.csv.delimiters import DELIMITER_NAMES, SAMPLE_BYTES
from app.domain.csv.encodings import EncodingError
from app.domain.csv.intake import Intake, NotText
from app.domain.csv.other_kinds import other_text
from app.domain.csv.spans import CsvError, Scan, SpanScanner

LATIN = "id,name\n" + "".join(f"{i},Jürgen\n" for i in range(10))


def intake(delimiter: str | None = None, encoding: str | None = None) -> Intake:
    return Intake(lambda char: SpanScanner(delimiter=char, chunk_rows=3), delimiter=delimiter, encoding=encoding)


def taken(data: bytes, *, delimiter: str | None = None, encoding: str | None = None) -> tuple[bytes, Scan]:
    """What is stored of a file, and its records."""
    file = intake(delimiter, encoding)
    text = file.feed(data)
    rest, scan = file.finish()
    assert file.digest.digest() == hashlib.sha256(text + rest).digest()
    assert scan.size == len(text + rest)
    return text + rest, scan


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (b"PK\x03\x04 workbook", "looks like an Excel workbook"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"id,name\n1,\0\n", "The file is binary .*, not CSV"),
        (b"id,n\xe4me,\xc3\xa4,\xc3\xb6\n1,a\n", "its header is not; please save the file as UTF-8, or say"),
        (
            "id,name\n1,äöü\n2,äöü\n".encode() + b"3,\xff\n4,\xff\n",
            "2 of its first 4 rows are not, beginning with row 3",
        ),
    ],
)
def test_other_content_is_refused(sample: bytes, reason: str) -> None:
    """What cannot be CSV, or is hardly UTF-8, is refused with its reason."""
    with pytest.raises(NotText) as caught:
        taken(sample)
    assert re.search(reason, str(caught.value))


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (LATIN.encode("latin-1"), "10 of its first 10 rows are not, beginning with row 1"),
        ("id,näme\n1,a\n".encode("latin-1"), "its header is not"),
        ("id,name\n1,a\n2,é".encode("latin-1"), "1 of its first 2 rows are not, beginning with row 2"),
    ],
)
def test_named_utf8_must_be_utf8(sample: bytes, reason: str) -> None:
    """What is said to be UTF-8 and is not is refused; left to us it is taken."""
    with pytest.raises(NotText, match=reason):
        taken(sample, encoding="utf-8")
    assert taken(sample)[0].decode() == sample.decode("latin-1")


def test_single_bad_bytes_are_accepted() -> None:
    """Single bad bytes do not refuse a file that is UTF-8 otherwise, or said to be."""
    for sample, encoding in (
        (b"id,name\n1,a\n2,\xff\n3,c\n", "utf-8"),
        ("id,name\n1,äö\n2,".encode() + b"\xff\n3,c\n", None),
    ):
        assert taken(sample, encoding=encoding)[0] == sample


@pytest.mark.parametrize("cut", range(12))
def test_cut_character_is_no_reason(cut: int) -> None:
    """A character that the end of the sample cuts off is no reason to refuse a file."""
    row = "1,漢字🙂\n".encode()
    sample = (b"id,name\n" + row * SAMPLE_BYTES)[cut : SAMPLE_BYTES + cut]
    assert intake().feed(b"id,name\n" + sample[8:])


@pytest.mark.parametrize("delimiter", DELIMITER_NAMES)
def test_delimiter_follows_the_decoded_text(delimiter: str) -> None:
    """The delimiter is looked for in what is stored, whatever the file was written in."""
    text = f"id{delimiter}name\r\n1{delimiter}Jürgen\r\n"
    for codec in ("utf-8", "utf-16", "cp1252"):
        stored, scan = taken(text.encode(codec))
        assert (stored.decode(), scan.delimiter, scan.row_count) == (text, delimiter, 1)


@given(
    st.binary(max_size=300), st.sampled_from([None, *DELIMITER_NAMES]), st.sampled_from([None, "utf-8", "windows-1252"])
)
def test_any_content_is_taken_or_refused(data: bytes, delimiter: str | None, encoding: str | None) -> None:
    """Whatever is sent is taken or refused with a message."""
    try:
        taken(data, delimiter=delimiter, encoding=encoding)
    except (NotText, EncodingError, CsvError) as error:
        assert len(str(error)) > 20


# Texts of other kinds


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"<!DOCTYPE html>", "HTML"),
        (b"  <html lang='de'>", "HTML"),
        (b"<table><tr><td>id", "HTML"),
        (b'<?xml version="1.0"?>', "XML"),
        (b"<contacts>", "XML"),
        (b'[{"id": "1"', "JSON"),
        (b"[", "JSON"),
        (b"{", "JSON"),
        (b'{"id": 1}', "JSON"),
        (b"[[1, 2]]", "JSON"),
        (b"{\\rtf1\\ansi", "RTF"),
        (b"From: ada@example.com", "mail"),
    ],
)
def test_other_formats_are_recognised(header: bytes, kind: str) -> None:
    """A first record of another kind of text is recognised."""
    assert kind in (other_text(header) or "")


@pytest.mark.parametrize("header", [b"", b"id,name", b"<5 years,id", b"[id],name", b"{x},id", b"From,To", b"a<b"])
def test_header_is_no_other_format(header: bytes) -> None:
    """A header is not taken for something else."""
    assert other_text(header) is None
