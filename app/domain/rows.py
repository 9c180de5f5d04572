"""Chunks of rows, parsed and validated: each record becomes exactly one valid record or one failure.

Work is done on whole columns: one validation per column of the chunk, and nothing per row. Only values that fail are
looked at one by one, for what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import isnan
from typing import Any, Final

import numpy as np
from pydantic_core import ErrorDetails, ValidationError

from app.domain.csv.delimiters import check_delimiter
from app.domain.csv.header import Columns
from app.domain.csv.text import read_records
from app.domain.entities import Entity
from app.domain.entities.rules import Damaged, Mismatch
from app.domain.outcomes import RowOutcome
from app.domain.printable import printable

_SHOWN: Final = 60  # characters of a value that a message shows
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class CheckedChunk:
    """What became of the rows of a chunk.

    Attributes:
        rows: The numbers of the valid rows, ascending unless sorted by something else.
        columns: For each of the entity's fields, in its order, the values of these rows, normalised.
        failures: The other rows, ascending.
    """

    entity: Entity
    rows: list[int]
    columns: list[list[str]]
    failures: list[RowOutcome]

    def without(self, positions: Container[int]) -> CheckedChunk:
        """Return the chunk without some of its valid rows, given by their positions."""
        kept = [position not in positions for position in range(len(self.rows))]
        columns = [list(compress(column, kept)) for column in self.columns]
        return replace(self, rows=list(compress(self.rows, kept)), columns=columns)

    def sorted_by(self, field: str) -> CheckedChunk:
        """Return the chunk with its valid rows in the order of their values of a field."""
        order = sorted(range(len(self.rows)), key=self.column(field).__getitem__)
        if order == list(range(len(order))):
            return self
        return replace(
            self,
            rows=[self.rows[position] for position in order],
            columns=[[column[position] for position in order] for column in self.columns],
        )

    def column(self, field: str) -> list[str]:
        """Return the values of one field."""
        return self.columns[self.entity.columns.index(field)]

    @property
    def records(self) -> list[dict[str, str]]:
        """The valid rows as records. Where it counts, work on ``columns``."""
        names = self.entity.columns
        return [dict(zip(names, values, strict=True)) for values in zip(*self.columns, strict=True)]

    @property
    def row_count(self) -> int:
        """The number of rows, valid and failed."""
        return len(self.rows) + len(self.failures)


def check_chunk(entity: Entity, columns: Columns, data: bytes, delimiter: str, first_row: int) -> CheckedChunk:
    """Parse and validate the records of a byte range that begins and ends between records.

    Blank lines are no rows, nor are records of nothing but empty fields. Columns that the entity does not have are
    ignored, whatever is in them.

    Args:
        entity: What the rows are to become.
        columns: The header of the file.
        data: The bytes of the range, UTF-8.
        delimiter: One ASCII character.
        first_row: The number of the first row in it.

    Returns:
        One entry per row; bad content never raises.

    Raises:
        ValueError: the delimiter is none, or (``HeaderError``) the header lacks a column of the entity.
    """
    positions, labels = columns.positions(entity), columns.labels(entity)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        # Each invalid byte becomes a lone surrogate, which the validator of its column refuses: only its row
        # fails.
        text = data.decode(errors="surrogateescape")
    fields = _split_plain(data, text, check_delimiter(delimiter), columns.width)
    if fields is not None:
        values = [fields[position :: columns.width] for position in positions]
        return _check_columns(entity, labels, values, range(first_row, first_row + len(values[0])), [])
    records, open_quote = read_records(text, delimiter)
    return _check_records(entity, columns.width, labels, positions, records, open_quote, first_row)


def check_rows(entity: Entity, rows: Sequence[Any], first_row: int) -> CheckedChunk:
    """Validate rows that came as JSON: objects with the entity's fields; others in them are ignored.

    Numbers become strings; NaN, as data frames write what is missing, is an empty value. Whatever is no such
    object fails as a row; nothing that JSON can carry raises.
    """
    numbers: list[int] = []
    failures: list[RowOutcome] = []
    tuples: list[list[Any]] = []
    for number, row in enumerate(rows, first_row):
        if isinstance(row, Mapping):
            numbers.append(number)
            tuples.append([row.get(column, _MISSING) for column in entity.columns])
        else:
            failures.append(_failed(number, "INVALID_VALUE", f"The row is not an object: {_shown(row)}"))
    values = [_without_nan(column) for column in _transpose(tuples, range(len(entity.columns)))]
    return _check_columns(entity, entity.columns, values, numbers, failures)


def _without_nan(column: list[Any]) -> list[Any]:
    if float not in set(map(type, column)):
        return column
    return [None if isinstance(value, float) and isnan(value) else value for value in column]


def _split_plain(data: bytes, text: str, delimiter: bytes, width: int) -> list[str] | None:
    """Return all fields of a chunk in one list, or None if it takes ``csv.reader`` to find them.

    That is for chunks without quotes, blank lines, lone CRs, rows of another width or of empty fields only, of two
    columns at least: there every ``width``-th mark is a line end and all others are delimiters, and two splits do the
    whole work.
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
    line_ends = view == 10
    found = np.flatnonzero(line_ends | (view == delimiter[0]))
    if len(found) % width:
        return None
    positions = found.reshape(-1, width)
    marks = line_ends[positions]
    if marks[:, :-1].any() or not marks[:, -1].all():
        return None
    if (np.diff(positions[:, -1], prepend=-1) == width).any():
        # A row with nothing but its delimiters and its line end is a blank line.
        return None
    fields = text.replace("\n", delimiter.decode("ascii")).split(delimiter.decode("ascii"))
    fields.pop()  # what is behind the last line end: nothing
    return fields


def _check_records(
    entity: Entity,
    width: int,
    labels: Sequence[str],
    positions: Sequence[int],
    records: list[list[str]],
    open_quote: bool,
    first_row: int,
) -> CheckedChunk:
    """Set aside the records of another width, and the one with an open quote; validate the others."""
    failures: list[RowOutcome] = []
    numbers: Sequence[int] = range(first_row, first_row + len(records))
    if open_quote:
        # The open field is the last that was read.
        open_at = len(records[-1]) - 1
        column = labels[positions.index(open_at)] if open_at in positions else None
        message = "A quote is opened and not closed before the end of the file."
        failures.append(_failed(numbers[-1], "UNTERMINATED_QUOTE", message, column))
        del records[-1]
        numbers = numbers[:-1]
    if not set(map(len, records)) <= {width}:
        fits = [len(record) == width for record in records]
        for number, record in zip(numbers, records, strict=True):
            if len(record) != width:
                message = f"The row has {len(record)} fields, the header has {width}."
                failures.append(_failed(number, "WRONG_FIELD_COUNT", message))
        numbers = list(compress(numbers, fits))
        records = list(compress(records, fits))
    return _check_columns(entity, labels, _transpose(records, positions), numbers, failures)


def _transpose(records: Sequence[Sequence[Any]], positions: Iterable[int]) -> list[list[Any]]:
    """Return the values of the columns at these positions, a list for each."""
    columns = list(zip(*records, strict=True))
    return [list(columns[position]) if records else [] for position in positions]


def _check_columns(
    entity: Entity,
    labels: Sequence[str],
    values: list[list[Any]],
    numbers: Sequence[int],
    failures: list[RowOutcome],
) -> CheckedChunk:
    """Validate rows given as columns.

    Args:
        entity: What the rows are to become.
        labels: For each column of the entity what messages call it.
        values: For each column of the entity the values of all rows.
        numbers: The numbers of the rows, ascending.
        failures: Rows of the chunk that have failed before; this list is taken over.
    """
    valid = [
        field.column_validator.validate_python(column) for field, column in zip(entity.fields, values, strict=True)
    ]
    # None marks an invalid value. Most chunks have none, and all() is the fastest look at that.
    for place, field in enumerate(entity.fields):
        if field.damage is not None:
            valid[place] = _without_damaged(valid[place], field.damage)
    bad = {i for column in valid if not all(column) for i, value in enumerate(column) if value is None}
    if bad:
        failures += [_explain(entity, labels, numbers[i], [column[i] for column in values]) for i in bad]
        good = [i not in bad for i in range(len(numbers))]
        numbers = list(compress(numbers, good))
        valid = [list(compress(column, good)) for column in valid]
    failures.sort()
    return CheckedChunk(entity, list(numbers), valid, failures)


def _without_damaged(column: list[str | None], damage: Damaged) -> list[str | None]:
    """Return the column with None in the place of values that were damaged before they came here."""
    # One search through all of it: hardly any chunk has such a value.
    if damage.mark not in "\0".join(filter(None, column)):
        return column
    return [None if value and damage.pattern.fullmatch(value) else value for value in column]


def _explain(entity: Entity, labels: Sequence[str], number: int, values: Sequence[Any]) -> RowOutcome:
    """Say what is wrong with the first invalid value of a row."""
    for field, label, value in zip(entity.fields, labels, values, strict=True):
        try:
            field.value_validator.validate_python(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            code, message = _fault(field.mismatch, label, value, details)
            return _failed(number, code, message, label)
        damage = field.damage
        if damage is not None and damage.pattern.fullmatch(str(value).strip()):
            return _failed(number, damage.code, f"{label} {damage.message}: {_shown(value)}", label)
    raise AssertionError("a row was invalid as a whole, and valid value by value")


def _fault(mismatch: Mismatch | None, column: str, value: Any, details: ErrorDetails) -> tuple[str, str]:
    """Return code and message for an invalid value of a column."""
    kind = details["type"]
    if value is _MISSING:
        return "REQUIRED", f"{column} is missing."
    if value is None or kind == "string_too_short":
        return "REQUIRED", f"{column} is empty."
    if kind == "string_unicode":
        return "INVALID_UTF8", f"{column} is not valid UTF-8: {_shown(value)}"
    if kind == "string_too_long":
        limit = details["ctx"]["max_length"]
        return "TOO_LONG", f"{column} has more than {limit} characters: {_shown(value)}"
    if kind == "string_pattern_mismatch" and mismatch and "\0" not in str(value):
        return mismatch.code, f"{column} {mismatch.message}: {_shown(value)}"
    if kind == "string_pattern_mismatch":
        return "INVALID_CHARACTER", f"{column} has a control character: {_shown(value)}"
    return "INVALID_VALUE", f"{column} is not text: {_shown(value)}"


def _shown(value: Any) -> str:
    """A value as messages quote it: shortened, and fit for any terminal and any store."""
    if not isinstance(value, str):
        # JSON may nest deeply and be large: its kind says enough.
        return type(value).__name__ if isinstance(value, (Mapping, list, tuple)) else repr(value)[:_SHOWN]
    return f'"{printable(value, _SHOWN)}"'


def _failed(number: int, code: str, message: str, column: str | None = None) -> RowOutcome:
    return RowOutcome(number, "FAILED", code, message, column)
