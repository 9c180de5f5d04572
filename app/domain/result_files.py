"""Rows as a results file has them: the columns that were uploaded, and behind them what became of the row.

The rows of a chunk are made at once, and a row that can be passed on as it is written is: no cell of it is looked at.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from app.domain.csv.defusing import LineDefuser, defuse, defuse_all, restore_all
from app.domain.csv.header import Columns
from app.domain.csv.returned_results import REPLACEMENT, RESULT_COLUMNS, is_result_column
from app.domain.csv.text import RawRecords
from app.domain.entities import Entity
from app.domain.outcomes import RowOutcome

BYTE_ORDER_MARK: Final = "\ufeff".encode()

#: Stands in a text for a byte that is no character.
_UNREADABLE: Final = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class ChunkResults:
    """The rows of a chunk, and what became of them.

    Attributes:
        records: The rows as they are stored.
        first_row: The number of the first.
        codes: For each row what it did, if it plainly succeeded.
        ids: For each row the id of its record, if it plainly succeeded.
        exceptions: The rows that did not, by their number.
        shown: The rows that are wanted, by their place in the chunk, ascending.
    """

    records: RawRecords
    first_row: int
    codes: Sequence[str]
    ids: Sequence[str]
    exceptions: Mapping[int, RowOutcome]
    shown: Sequence[int]


class ResultsFormat(Protocol):
    """How a results file is written."""

    #: Of the file, as HTTP and file names say it.
    media_type: str
    extension: str

    def begin(self) -> bytes:
        """Return what stands before the rows."""

    def rows(self, chunk: ChunkResults) -> bytes:
        """Return the rows of a chunk that are wanted."""


class CsvResults:
    """CSV with the delimiter of the file that was uploaded, safe to be opened in a spreadsheet."""

    media_type, extension = "text/csv", "csv"

    def __init__(self, columns: Columns, delimiter: str, *, mark: bool) -> None:
        """Describe the file; ``mark``: it begins with a byte-order mark, without which Excel takes UTF-8 for ANSI."""
        self._table = _Table(columns, delimiter)
        self._delimiter, self._mark = delimiter, mark
        self._defuser = LineDefuser(delimiter)

    def begin(self) -> bytes:
        """Return the header."""
        return BYTE_ORDER_MARK * self._mark + self._written((*defuse_all(self._table.names), *RESULT_COLUMNS)).encode()

    def rows(self, chunk: ChunkResults) -> bytes:
        """Return the rows of a chunk that are wanted."""
        d, records, codes, ids = self._delimiter, chunk.records, chunk.codes, chunk.ids
        texts, separators, rewrite_all = records.texts, self._table.width - 1, self._table.of_results
        harmless = not self._defuser.finds("\n".join(texts).encode(errors="surrogateescape"))
        made: list[str] = []
        for place in chunk.shown:
            text, row = texts[place], chunk.first_row + place
            cells, entry = records.quoted.get(place), chunk.exceptions.get(row)
            if entry is not None:
                told = self._written(_told(entry))
            elif cells is None:
                told = f"{row}{d}SUCCESS{d}{codes[place]}{d}{d}{d}{defuse(ids[place])}\r\n"
            else:
                told = self._written((row, "SUCCESS", codes[place], "", "", defuse(ids[place])))
            passed_on = text.count(d) == separators if cells is None else self._may_pass(records, place)
            if rewrite_all or not passed_on:
                kept, surplus = self._table.cells(records, place)
                text = self._written(defuse_all(kept)).removesuffix("\r\n")
                if surplus:
                    told = told.removesuffix("\r\n") + d + self._written(defuse_all(surplus))
            elif cells is None and not harmless:
                text = self._defuser.defuse(text)
            made.append(f"{text}{d}{told}")
        return _encoded("".join(made))

    def _may_pass(self, records: RawRecords, place: int) -> bool:
        """Tell whether a row with quotes can be passed on as it is written."""
        cells, is_open = records.quoted[place], records.open_quote and place == len(records.texts) - 1
        return len(cells) == self._table.width and defuse_all(cells) == cells and not is_open

    def _written(self, record: Sequence[object]) -> str:
        made = io.StringIO(newline="")
        # It quotes what ends a line in its own eyes: with LF alone it would let a lone CR pass.
        csv.writer(made, delimiter=self._delimiter, lineterminator="\r\n").writerow(record)
        return made.getvalue()


class JsonResults:
    """One JSON object for each row, in a line of its own."""

    media_type, extension = "application/x-ndjson", "ndjson"

    def __init__(self, columns: Columns, delimiter: str) -> None:
        self._table = _Table(columns, delimiter)
        self._names = (*_distinct(self._table.names), *RESULT_COLUMNS)

    def begin(self) -> bytes:
        """Return nothing: each row has its names."""
        return b""

    def rows(self, chunk: ChunkResults) -> bytes:
        """Return the rows of a chunk that are wanted."""
        return b"".join(map(_json, self._records(chunk)))

    def _records(self, chunk: ChunkResults) -> Iterable[dict[str, Any]]:
        names = self._names
        for place in chunk.shown:
            row = chunk.first_row + place
            entry = chunk.exceptions.get(row)
            if entry is None:
                told: tuple[Any, ...] = (row, "SUCCESS", chunk.codes[place], None, None, chunk.ids[place])
            else:
                told = (row, entry.status, entry.code, entry.column, entry.message, None)
            kept, surplus = self._table.cells(chunk.records, place)
            record = dict(zip(names, (*kept, *told), strict=True))
            yield record | {"_surplus": surplus} if surplus else record


class _Table:
    """The columns and cells that were uploaded; of a results file that came back, those that it was made of."""

    def __init__(self, columns: Columns, delimiter: str) -> None:
        self._delimiter = delimiter
        self.width = columns.width
        self.of_results = columns.of_results
        self._kept = [i for i, name in enumerate(columns.names) if not (columns.of_results and is_result_column(name))]
        self.names = [columns.names[i] for i in self._kept]

    def cells(self, records: RawRecords, place: int) -> tuple[list[str], list[str]]:
        """Return the cells of a row, filled up if there are too few, and those that there are too many."""
        cells = records.cells(place, self._delimiter)
        if len(cells) == self.width and not self.of_results:
            return cells, []
        if self.of_results:
            cells = restore_all(cells)
        cells, surplus = cells[: self.width], cells[self.width :]
        cells += [""] * (self.width - len(cells))
        return [cells[i] for i in self._kept], surplus


def record_ids(entity: Entity, columns: Columns, records: RawRecords, delimiter: str) -> list[str]:
    """Return for each row the id of the record that it is about, "" where it is none."""
    key = entity.only({entity.key})
    [position] = columns.positions(key)
    cells: list[str] = []
    for place, text in enumerate(records.texts):
        found = records.quoted.get(place)
        found = text.split(delimiter, position + 1) if found is None else found
        cells.append(found[position] if position < len(found) else "")
    if columns.of_results:
        cells = restore_all(cells)
    [field] = key.fields
    return [value or "" for value in field.column_validator.validate_python(cells)]


def _told(entry: RowOutcome) -> tuple[object, ...]:
    return entry.row, entry.status, entry.code, defuse(entry.column or ""), defuse(entry.message), ""


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # What could not be read is shown as that, whoever has it open.
        return _UNREADABLE.sub(REPLACEMENT, text).encode()


def _json(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _encoded(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names of which no two are the same: a column that is not looked at may have that of another."""
    found: dict[str, None] = {}
    for name in names:
        free, times = name, 1
        while free in found or free in RESULT_COLUMNS:
            times += 1
            free = f"{name} ({times})"
        found[free] = None
    return list(found)
