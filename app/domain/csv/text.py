"""CSV text parsed as ``csv.reader`` does.

Sources: RFC 4180; the state machine of CPython's ``Modules/_csv.c`` (excel dialect, ``strict=False``).
"""

from __future__ import annotations

import csv
import io

# csv.reader refuses fields above a limit that is global to the process (131,072 characters). The door bounds
# fields and records (``SpanScanner``), so the second limit could only turn one bad row into a lost chunk.
csv.field_size_limit(2**31 - 1)

# Neither may be part of a record of its own making: a delimiter is never NUL, and NUL needs no quotes.
_SENTINEL = "\0"


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
