"""The delimiter of a CSV file: which there may be, the one that a file names itself, and the one that its rows show."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

DELIMITER_NAMES: Mapping[str, str] = MappingProxyType({",": "comma", ";": "semicolon", "|": "pipe", "\t": "tab"})
"""The delimiters that an upload may name, each with its name in words; of equal guesses the first is taken."""

SAMPLE_BYTES: Final = 64 * 1024
"""How much of the start of a file a guess needs: a header may have half of it."""

#: Rows behind the header that a guess looks at.
_ROWS: Final = 50


class DelimiterSource(StrEnum):
    """Where the delimiter of a file is known from, the surest first."""

    DECLARED = "declared"  # the file's first line says it: sep=;
    GIVEN = "given"  # the upload says it
    DETECTED = "detected"  # header and rows show it
    DEFAULT = "default"  # nothing shows it: there is one column only


class Guess(NamedTuple):
    """A delimiter, and how it came to be taken."""

    delimiter: str
    source: DelimiterSource


def check_delimiter(delimiter: str) -> bytes:
    """Return the delimiter as its one byte.

    Raises:
        ValueError: it is not one ASCII character, or it is a quote, a line end or NUL.
    """
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise ValueError(f"The delimiter must be one ASCII character other than a quote or a line end: {delimiter!r}")
    return delimiter.encode("ascii")


_DECLARATION = re.compile(rb'(?:sep=([,;|\t])|"sep=([,;|\t])")(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
LONGEST_DECLARATION = len(b'"sep=;"\r\n')
"""Longest first line that names the delimiter, bytes."""


def declared_delimiter(start: bytes) -> tuple[str, int] | None:
    """Return the delimiter that the first line of a file names (``sep=;``, as Excel reads it), and that line's length.

    Args:
        start: The first bytes of the file behind its byte-order mark, ``LONGEST_DECLARATION`` of them, or all.

    Returns:
        None when the first line names none.
    """
    match = _DECLARATION.match(start)
    return None if match is None else ((match[1] or match[2]).decode("ascii"), match.end())


def guess_delimiter(start: bytes, wanted: Collection[str] = ()) -> Guess:
    """Return the delimiter that a file most probably has.

    It is the one with which the header has most of the wanted columns; then the one with which most rows are as wide as
    the header; then the one that makes most columns.

    Args:
        start: The first ``SAMPLE_BYTES`` of the file, UTF-8, or all of it; what is more is ignored.
        wanted: Names that the columns may have, in any case.
    """
    start = start.removeprefix(codecs.BOM_UTF8)[:SAMPLE_BYTES]
    if (declared := declared_delimiter(start[:LONGEST_DECLARATION])) is not None:
        return Guess(declared[0], DelimiterSource.DECLARED)
    if len(start) >= SAMPLE_BYTES:
        # The end of the sample may cut a row in two.
        start = start[: start.rfind(b"\n") + 1] or start
    text = start.decode(errors="replace")
    folded = {name.strip().casefold() for name in wanted}
    fits = {delimiter: _fit(text, delimiter, folded) for delimiter in DELIMITER_NAMES}
    best = max(fits, key=fits.__getitem__)
    return Guess(best, DelimiterSource.DETECTED) if fits[best].divided else Guess(",", DelimiterSource.DEFAULT)


class _Fit(NamedTuple):
    """How well a file fits a delimiter; compared from the first on."""

    known: int
    divided: bool
    #: Of the first rows, the share with as many fields as the header.
    even: float
    columns: int


def _fit(text: str, delimiter: str, wanted: Collection[str]) -> _Fit:
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    # A record of nothing but empty fields is a blank line.
    filled = islice((record for record in records if any(record)), 1 + _ROWS)
    header, rows = next(filled, []), list(filled)
    known = sum(name in wanted for name in {name.strip().casefold() for name in header})
    even = sum(len(row) == len(header) for row in rows) / len(rows) if rows else 1.0
    return _Fit(known, len(header) > 1, even, len(header))
