"""Entries of rows that did not plainly succeed, as small as the ledger can keep them.

A file in which every row fails must not make a ledger of many times its size. So the rows and codes of a chunk are
packed, and only texts that nothing else knows are kept, each once. What is wrong with a row that is not valid follows
from the file: whoever shows it parses the chunk again (:func:`derivable`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from app.domain.outcome_entries import DERIVED, DUPLICATE, FIXED_MESSAGES, RowOutcome, duplicate_of

_OFFSETS: Final = np.dtype("<u4")
_KINDS: Final = np.dtype("<u2")
_OWNERS: Final = np.dtype("<u8")


def pack(entries: Sequence[RowOutcome], first_row: int) -> dict[str, Any]:
    """Return the entries of a chunk (ascending) as a document."""
    kinds: dict[tuple[str, str, str, str | None], int] = {}
    numbers = [kinds.setdefault(_kind(entry), len(kinds)) for entry in entries]
    offsets = np.array([entry.row - first_row for entry in entries], _OFFSETS)
    owners = [entry.owner or 0 for entry in entries if entry.code == DUPLICATE]
    return {
        "count": len(entries),
        # Differences, because most are alike and so pack well.
        "rows": _deflate(np.diff(offsets, prepend=_OFFSETS.type(0))),
        "kinds": _deflate(np.array(numbers, _KINDS)),
        "owners": _deflate(np.array(owners, _OWNERS)),
        "table": [list(kind) for kind in kinds],
    }


def unpack(document: Mapping[str, Any], first_row: int) -> list[RowOutcome]:
    """Read the entries of a chunk back; those that are :func:`derivable` have no message and no column."""
    rows = (np.cumsum(_inflate(document["rows"], _OFFSETS), dtype=np.int64) + first_row).tolist()
    owners = iter(_inflate(document["owners"], _OWNERS).tolist())
    table = document["table"]
    entries: list[RowOutcome] = []
    for row, number in zip(rows, _inflate(document["kinds"], _KINDS).tolist(), strict=True):
        status, code, message, column = table[number]
        if code == DUPLICATE:
            entries.append(duplicate_of(row, next(owners)))
        else:
            entries.append(RowOutcome(row, status, code, FIXED_MESSAGES.get(code, message), column))
    return entries


def derivable(entry: RowOutcome) -> bool:
    """Tell whether message and column of an entry are to be found by parsing its chunk again."""
    return entry.status == "FAILED" and entry.message == DERIVED


def _kind(entry: RowOutcome) -> tuple[str, str, str, str | None]:
    if entry.code == DUPLICATE:
        return entry.status, entry.code, DERIVED, None
    if entry.kept:
        return entry.status, entry.code, entry.message, entry.column
    return entry.status, entry.code, DERIVED, None


def _deflate(values: Any) -> bytes:
    return zlib.compress(values.tobytes(), 6)


def _inflate(data: bytes, dtype: np.dtype[Any]) -> Any:
    return np.frombuffer(zlib.decompress(data), dtype)
