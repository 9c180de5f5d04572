"""What a file is that is no CSV."""

from __future__ import annotations

import re

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


def binary_kind(start: bytes) -> str | None:
    """Say what a file looks like by its first bytes that is no text; None: like nothing of that kind."""
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)


def other_text(header: bytes) -> str | None:
    """Say what a file looks like whose first record is no header of ours: a page, a document; None: like nothing."""
    return next((kind for pattern, kind in _OTHER_TEXT if pattern.match(header)), None)
