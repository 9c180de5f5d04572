"""Rows that came as JSON, as CSV: the form in which all rows are stored, and from which they are read, again and again.

The columns are the fields of the entity, and a last one with the place of each row. So a row of which all fields are
empty is no blank line, and whoever gets the rows back knows which they were.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.domain.cells import CLEAR
from app.domain.csv.header import Columns
from app.domain.entities import Entity
from app.domain.printable import printable

#: The column behind the fields: chunk and place, as ``7:12``.
PLACE: Final = "_place"

#: What stands between two fields.
DELIMITER: Final = ","

_BOOLEANS: Final = {True: "true", False: "false"}


class NotFlat(ValueError):
    """A row is no object of plain values; the message says which, in words for the person who sent it."""


def columns_of(entity: Entity) -> Columns:
    """Return the header of the rows of an entity."""
    return Columns((*entity.columns, PLACE))


def header_of(columns: Columns) -> bytes:
    """Return the header record of columns, as it stands in a file."""
    return _lines([columns.names])


class InlineTable:
    """The rows of a chunk as records of CSV.

    Args:
        columns: Their header.
        rows: Objects of texts, numbers (``int``, ``float``, or text), truth values and None, by the names of the
            fields in any case; what has another name is left out.
        partial: Whether a record keeps what a row does not say: then None clears the field.

    Raises:
        NotFlat: a row is something else.
    """

    def __init__(self, columns: Columns, rows: Sequence[Any], *, partial: bool) -> None:
        self._nothing = CLEAR if partial else ""
        self._places = {name.casefold(): position for position, name in enumerate(columns.names[:-1])}
        self._known: dict[str, int | None] = {}
        self._records = [self._record(place, row) for place, row in enumerate(rows, 1)]

    def to_csv(self, number: int) -> bytes:
        """Return the rows as they are stored, as those of the chunk of a number."""
        for place, record in enumerate(self._records, 1):
            record[-1] = f"{number}:{place}"
        return _lines(self._records)

    def _record(self, place: int, row: Any) -> list[str]:
        if not isinstance(row, Mapping):
            raise NotFlat(f"Row {place} is {_kind(row)}, and must be an object of values by field.")
        record = [""] * (len(self._places) + 1)
        for name, value in row.items():
            position = self._position(name)
            if position is not None:
                record[position] = self._text(place, name, value)
        return record

    def _position(self, name: str) -> int | None:
        if name not in self._known:
            self._known[name] = self._places.get(name.strip().casefold())
        return self._known[name]

    def _text(self, place: int, name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if value is None:
            return self._nothing
        if isinstance(value, bool):
            return _BOOLEANS[value]
        if isinstance(value, (int, float)):
            return str(value)
        shown = printable(name, 40)
        raise NotFlat(f"{shown} of row {place} is {_kind(value)}, and must be text, a number, true, false or null.")


def _lines(records: Sequence[Sequence[str]]) -> bytes:
    made = io.StringIO(newline="")
    # It quotes what ends a line in its own eyes: with LF alone it would let a lone CR pass.
    csv.writer(made, delimiter=DELIMITER, lineterminator="\r\n").writerows(records)
    # Half of a character that takes two is none: its row fails, and the others do not.
    return made.getvalue().encode(errors="surrogatepass")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
