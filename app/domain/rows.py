"""Chunks of rows, parsed and validated: each record becomes exactly one valid record or one failure.

Work is done on whole columns (``app/domain/column_checks.py``), and nothing per row.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, repeat
from math import isnan
from typing import Any

from app.domain.cells import KEEP, EmptyCells
from app.domain.column_checks import MISSING, ColumnCheck, shown
from app.domain.csv.delimiters import check_delimiter
from app.domain.csv.header import Columns
from app.domain.csv.returned_results import as_uploaded
from app.domain.csv.text import decoded, plain_lines, read_records
from app.domain.entities import Entity
from app.domain.outcomes import RowOutcome


class RowsUnreadable(ValueError):
    """The rows of an action cannot be read any more; the message says why, in words that fit behind a colon."""


@dataclass(frozen=True, slots=True)
class CheckedChunk:
    """What became of the rows of a chunk.

    Attributes:
        rows: The numbers of the valid rows, ascending unless sorted by something else.
        columns: For each of the entity's fields, in its order, the values of these rows, normalised; None where the
            record is to have none, ``KEEP`` where it keeps what it has.
        failures: The other rows, ascending.
    """

    entity: Entity
    rows: list[int]
    columns: list[list[Any]]
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

    def column(self, field: str) -> list[Any]:
        """Return the values of one field."""
        return self.columns[self.entity.columns.index(field)]

    @property
    def claims(self) -> list[list[str]]:
        """For each kind of key the values that the rows claim, one for each row."""
        keys = self.column(self.entity.key)
        # No value has a NUL: so a row that has none claims what no other row wants.
        return [
            column if all(column) else [value or f"\0{key}" for key, value in zip(keys, column, strict=True)]
            for column in map(self.column, self.entity.key_fields)
        ]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The valid rows as records. Where it counts, work on ``columns``."""
        names = self.entity.columns
        return [
            {name: value for name, value in zip(names, values, strict=True) if value is not KEEP}
            for values in zip(*self.columns, strict=True)
        ]

    @property
    def row_count(self) -> int:
        """The number of rows, valid and failed."""
        return len(self.rows) + len(self.failures)


def check_chunk(
    entity: Entity,
    columns: Columns,
    data: bytes,
    delimiter: str,
    first_row: int,
    empty_cells: EmptyCells | None = None,
) -> CheckedChunk:
    """Parse and validate the records of a byte range that begins and ends between records.

    Blank lines are no rows, nor are records of nothing but empty fields. Columns that the entity does not have are
    ignored, whatever is in them.

    Args:
        entity: What the rows are to become.
        columns: The header of the file.
        data: The bytes of the range, UTF-8.
        delimiter: One ASCII character.
        first_row: The number of the first row in it.
        empty_cells: What an empty cell means where rows need not say everything; None: they must.

    Returns:
        One entry per row; bad content never raises.

    Raises:
        ValueError: the delimiter is none, or (``HeaderError``) the header lacks a column of the entity.
    """
    check_delimiter(delimiter)
    text = decoded(data)
    lines = None if columns.of_results else plain_lines(data, text, delimiter, columns.width)
    if lines is None:
        records, open_quote = read_records(text, delimiter)
        return check_records(entity, columns, records, open_quote, first_row, empty_cells)
    fields = lines.replace("\n", delimiter).split(delimiter)
    fields.pop()  # what is behind the last line end: nothing
    values = [fields[position :: columns.width] for position in columns.positions(entity)]
    numbers = range(first_row, first_row + len(values[0]))
    return _check_columns(entity, columns.labels(entity), values, numbers, [], empty_cells)


def check_records(
    entity: Entity,
    columns: Columns,
    records: list[list[str]],
    open_quote: bool,
    first_row: int,
    empty_cells: EmptyCells | None = None,
) -> CheckedChunk:
    """Validate records that were parsed by :func:`~app.domain.csv.text.read_records`, as :func:`check_chunk` does."""
    if columns.of_results:
        records = as_uploaded(records, columns.names)
    positions, labels = columns.positions(entity), columns.labels(entity)
    failures, numbers, values = _sorted_out(columns.width, labels, positions, records, open_quote, first_row)
    return _check_columns(entity, labels, values, numbers, failures, empty_cells)


def check_rows(
    entity: Entity, rows: Sequence[Any], first_row: int, empty_cells: EmptyCells | None = None
) -> CheckedChunk:
    """Validate rows that came as JSON: objects with the entity's fields; others in them are ignored.

    Numbers become strings; null is an empty value, and so is NaN, as data frames write what is missing. Whatever is no
    such object fails as a row; nothing that JSON can carry raises. What an object does not have, it does not say.
    """
    numbers: list[int] = []
    failures: list[RowOutcome] = []
    tuples: list[list[Any]] = []
    for number, row in enumerate(rows, first_row):
        if isinstance(row, Mapping):
            numbers.append(number)
            tuples.append([row.get(column, MISSING) for column in entity.columns])
        else:
            failures.append(_failed(number, "INVALID_VALUE", f"The row is not an object: {shown(row)}"))
    values = [_without_nan(column) for column in _transpose(tuples, range(len(entity.columns)))]
    return _check_columns(entity, entity.columns, values, numbers, failures, empty_cells)


def _without_nan(column: list[Any]) -> list[Any]:
    if float not in set(map(type, column)):
        return column
    return [None if isinstance(value, float) and isnan(value) else value for value in column]


def _sorted_out(
    width: int,
    labels: Sequence[str],
    positions: Sequence[int],
    records: list[list[str]],
    open_quote: bool,
    first_row: int,
) -> tuple[list[RowOutcome], Sequence[int], list[list[str]]]:
    """Set aside the records of another width, and the one with an open quote.

    Returns:
        The failures of these, the numbers of the others, and their columns at the positions.
    """
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
    return failures, numbers, _transpose(records, positions)


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
    empty_cells: EmptyCells | None,
) -> CheckedChunk:
    """Validate rows given as columns.

    Args:
        entity: What the rows are to become.
        labels: For each column of the entity what messages call it.
        values: For each column of the entity the values of all rows.
        numbers: The numbers of the rows, ascending.
        failures: Rows of the chunk that have failed before; this list is taken over.
        empty_cells: What an empty cell means where rows need not say everything.
    """
    # A record is known by its key, which a row always says.
    checks = [ColumnCheck(field, None if field.name == entity.key else empty_cells) for field in entity.fields]
    valid: list[list[Any]] = []
    #: Of each row that is not valid the column that is wrong first.
    wrong: dict[int, int] = {}
    for place, (check, column) in enumerate(zip(checks, values, strict=True)):
        checked, positions = check.check(column)
        valid.append(checked)
        for position in positions:
            wrong.setdefault(position, place)
    lacking = _lacking(entity, labels, valid, numbers, wrong, partial=empty_cells is not None)
    if wrong or lacking:
        failures += [
            checks[place].explain(labels[place], numbers[position], values[place][position])
            for position, place in wrong.items()
        ]
        failures += lacking.values()
        good = [position not in wrong and position not in lacking for position in range(len(numbers))]
        numbers = list(compress(numbers, good))
        valid = [list(compress(column, good)) for column in valid]
    failures.sort()
    return CheckedChunk(entity, list(numbers), valid, failures)


def _failed(number: int, code: str, message: str, column: str | None = None) -> RowOutcome:
    return RowOutcome(number, "FAILED", code, message, column)


def _lacking(
    entity: Entity,
    labels: Sequence[str],
    valid: list[list[Any]],
    numbers: Sequence[int],
    wrong: Container[int],
    *,
    partial: bool,
) -> dict[int, RowOutcome]:
    """Return the failures of rows that have a value, and not the one without which it means nothing, by position.

    Where a row need not say everything, the record may have that.
    """
    found: dict[int, RowOutcome] = {}
    for label, field, column in zip(labels, entity.fields, valid, strict=True):
        if field.needs is None:
            continue
        place = entity.columns.index(field.needs) if field.needs in entity.columns else None
        if place is None and partial:
            continue
        name, needed = (field.needs, repeat(None)) if place is None else (labels[place], valid[place])
        for position, (value, other) in enumerate(zip(column, needed, strict=False)):
            if other is None and value is not None and value is not KEEP and position not in wrong:
                message = f"{name} is empty, and {label} means nothing without it."
                found.setdefault(position, _failed(numbers[position], "REQUIRED", message, name))
    return found
