"""CSV text parsed as ``csv.reader`` does.

Sources: RFC 4180; the state machine of CPython's ``Modules/_csv.c`` (excel dialect, ``strict=False``).
"""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

import numpy as np

# csv.reader refuses fields above a limit that is global to the process (131,072 characters). The door bounds
# fields and records (``SpanScanner``), so the second limit could only turn one bad row into a lost chunk.
csv.field_size_limit(2**31 - 1)

# Neither may be part of a record of its own making: a delimiter is never NUL, and NUL needs no quotes.
_SENTINEL = "\0"

_SENTINEL_LINE = f"\n{_SENTINEL}\n"


def decoded(data: bytes) -> str:
    """Return the text of UTF-8, in which each byte that is no part of a character is a lone surrogate."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode(errors="surrogateescape")


def read_records(text: str, delimiter: str) -> tuple[list[list[str]], bool]:
    """Parse whole records exactly as ``csv.reader`` does on a file opened with ``newline=""``.

    Returns:
        The records in order, without those that have nothing but empty fields (blank lines among them), and whether
        a quote is still open at the end; if so, the last record is the one that has it (and some characters too many).
    """
    # A record of our own behind the text: an open quote swallows it, nothing else can.
    lines = io.StringIO(text + _SENTINEL_LINE, newline="")
    records = [record for record in csv.reader(lines, delimiter=delimiter) if any(record)]
    if records[-1] == [_SENTINEL]:
        records.pop()
        return records, False
    return records, True


class RawRecords(NamedTuple):
    """Records as they stand in a text, in order, without those that have nothing but empty fields.

    Attributes:
        texts: Each as it is written, without its line end.
        quoted: Those that have quotes, by their place, as ``csv.reader`` reads them; the others are what a split makes.
        open_quote: Whether the last one has a quote that is still open.
    """

    texts: list[str]
    quoted: dict[int, list[str]]
    open_quote: bool

    def cells(self, place: int, delimiter: str) -> list[str]:
        """Return the fields of a record."""
        found = self.quoted.get(place)
        return self.texts[place].split(delimiter) if found is None else list(found)


def raw_records(text: str, delimiter: str) -> RawRecords:
    """Find the records of a text as :func:`read_records` does; only those that have quotes are parsed."""
    if '"' not in text and text.count("\r") == text.count("\r\n"):
        lines = text.replace("\r\n", "\n").split("\n")
        return RawRecords([line for line in lines if line.strip(delimiter)], {}, False)
    lines = list(io.StringIO(text + _SENTINEL_LINE, newline=""))
    texts: list[str] = []
    quoted: dict[int, list[str]] = {}
    place, end = 0, len(lines) - 1
    while place < end:
        line, after = lines[place], place + 1
        if '"' in line:
            reader = csv.reader((lines[i] for i in range(place, len(lines))), delimiter=delimiter)
            record = next(reader)
            after = place + reader.line_num
            line = "".join(lines[place:after])
            if not any(record):
                place = after
                continue
            quoted[len(texts)] = record
        elif not line.strip(f"\r\n{delimiter}"):
            place = after
            continue
        texts.append(line.removesuffix("\n").removesuffix("\r"))
        place = after
    if place == end:
        return RawRecords(texts, quoted, False)
    # The open quote has swallowed the record of our own.
    texts[-1] = texts[-1].removesuffix(_SENTINEL_LINE.removesuffix("\n"))
    quoted[len(texts) - 1][-1] = quoted[len(texts) - 1][-1].removesuffix(_SENTINEL_LINE)
    return RawRecords(texts, quoted, True)


def plain_lines(data: bytes, text: str, delimiter: str, width: int) -> str | None:
    """Return whole records as lines that end in LF, or None if it takes ``csv.reader`` to find them.

    That is for records without quotes, blank lines, lone CRs, rows of another width or of empty fields only, of two
    columns at least: there every ``width``-th mark is a line end and all others are delimiters.

    Args:
        data: The records, UTF-8.
        text: The same, decoded.
        delimiter: One ASCII character.
        width: The fields that each must have.
    """
    if width < 2 or b'"' in data:
        return None
    if b"\r" in data:
        data, text = data.replace(b"\r\n", b"\n"), text.replace("\r\n", "\n")
        if b"\r" in data:
            return None
    if not data.endswith(b"\n"):
        data, text = data + b"\n", text + "\n"
    view = np.frombuffer(data, np.uint8)
    line_ends = view == ord("\n")
    found = np.flatnonzero(line_ends | (view == ord(delimiter)))
    if len(found) % width:
        return None
    positions = found.reshape(-1, width)
    marks = line_ends[positions]
    if marks[:, :-1].any() or not marks[:, -1].all():
        return None
    if (np.diff(positions[:, -1], prepend=-1) == width).any():
        # A row with nothing but its delimiters and its line end is a blank line.
        return None
    return text
