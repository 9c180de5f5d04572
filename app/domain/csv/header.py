"""The header of a file: which of its columns is which field of the entity, and what is wrong with it, in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from app.domain.csv.column_mapping import ColumnMapping, MappingError
from app.domain.csv.column_names import probable_columns
from app.domain.csv.defusing import restore
from app.domain.csv.delimiters import DELIMITER_NAMES, guess_delimiter
from app.domain.csv.returned_results import RESULT_COLUMNS, is_of_results, is_result_column
from app.domain.csv.text import read_records
from app.domain.entities import Entity
from app.domain.operations import BULK_UPDATE, Needs, Operation
from app.domain.printable import printable, shortened

MAX_HEADER_BYTES = 32 * 1024
"""The header's names travel with every chunk message, so a header is kept well below what a message may
have."""

#: Most mistakes of a mapping that are told at once.
_MOST_TOLD = 5


class HeaderError(ValueError):
    """The header does not fit the entity; the message is for the person who uploads the file."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The header of a file: its names as written, without surrounding blanks, in order.

    In a message and in a document it is the plain list of names, and that of fields if there was a mapping.

    Attributes:
        names: As the file has them.
        fields: Where the upload brought a mapping: for each column the field that it is for, "" for none. Else None,
            and each column is for the field of its name.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """The number of fields that every row must have."""
        return len(self.names)

    @property
    def of_results(self) -> bool:
        """Whether this is a results file that comes back: its cells are as :mod:`app.domain.csv.defusing` made them."""
        return is_of_results(self.names)

    def part_of(self, entity: Entity, operation: Operation) -> Entity:
        """Return the entity with those of its fields alone that rows under this header have for an operation.

        Raises:
            HeaderError: a column is missing that the operation needs.
        """
        if missing := self._missing(_needed(entity, operation)):
            raise HeaderError(_missing_columns(missing, self.names))
        return entity.only(set(_used(entity, operation)).difference(self._missing(entity.columns)))

    def positions(self, entity: Entity) -> tuple[int, ...]:
        """Return where the entity's columns are, in the entity's order. Raises ``HeaderError`` if one is
        missing."""
        place = {name.casefold(): i for i, name in reversed(list(enumerate(self._targets)))}
        if missing := self._missing(entity.columns):
            raise HeaderError(_missing_columns(missing, self.names))
        return tuple(place[name.casefold()] for name in entity.columns)

    def labels(self, entity: Entity) -> tuple[str, ...]:
        """Return what messages call the entity's columns: with a mapping, what the file calls them, shortened."""
        if self.fields is None:
            return entity.columns
        return tuple(printable(self.names[position], 60) for position in self.positions(entity))

    def ignored(self, entity: Entity) -> list[str]:
        """Return the names of the columns that are for no field of the entity, but for those of a results file."""
        known = {name.casefold() for name in entity.columns}
        ignored = [name for name, field in zip(self.names, self._targets, strict=True) if field.casefold() not in known]
        return [name for name in ignored if not is_result_column(name)] if self.of_results else ignored

    @property
    def _targets(self) -> tuple[str, ...]:
        return self.names if self.fields is None else self.fields

    def _missing(self, fields: Iterable[str]) -> list[str]:
        there = {name.casefold() for name in self._targets}
        return [name for name in fields if name.casefold() not in there]


def read_header(
    entity: Entity,
    header: bytes,
    delimiter: str,
    mapping: ColumnMapping | None = None,
    *,
    operation: Operation = BULK_UPDATE,
    max_columns: int = 500,
) -> tuple[Columns | None, list[HeaderError | MappingError]]:
    """Read the header record and check it against the entity.

    Names match whatever their case and surrounding blanks. Further columns are allowed and ignored.

    Args:
        entity: What the rows are to become.
        header: The raw header record, without byte-order mark and line end (``SpanScanner.header``).
        delimiter: One ASCII character.
        mapping: Which column is for which field. Columns that it does not name are for the field of their name.
        operation: What is to be done with the rows.
        max_columns: The most columns that it may have.

    Returns:
        The columns, None when they cannot be used, and then all that is wrong with them.
    """
    if len(header) > MAX_HEADER_BYTES:
        reason = f"The header is larger than {MAX_HEADER_BYTES // 1024} KiB: the file seems to have none."
        return None, [HeaderError(reason)]
    try:
        text = header.decode()
    except UnicodeDecodeError:
        return None, [HeaderError("The header is not UTF-8. Please save the file as UTF-8.")]
    names, open_quote = _read_names(text, delimiter)
    if open_quote:
        return None, [HeaderError("A quote in the header is not closed.")]
    if len(names) > max_columns + (len(RESULT_COLUMNS) if is_of_results(names) else 0):
        return None, [HeaderError(f"The header has {len(names)} columns, and may have {max_columns}.")]
    wrong: list[HeaderError | MappingError] = []
    fields = None if mapping is None else _mapped(entity, names, mapping, wrong)
    if wrong:
        # With a mapping that is wrong nobody knows which columns would be missing.
        return None, wrong
    lowered = [name.casefold() for name in (names if fields is None else fields)]
    missing = [name for name in _needed(entity, operation) if name.casefold() not in lowered]
    twice = [name for name in _used(entity, operation) if lowered.count(name.casefold()) > 1]
    if fields is not None:
        for field_name in twice:
            both = [name for name, mapped in zip(names, fields, strict=True) if mapped == field_name]
            reason = f"Several columns would be the field {field_name}: {_name_list(both)}."
            wrong.append(MappingError(f"{reason} Map all but one of them to null."))
    if missing:
        what = "Missing columns" if fields is None else "With this mapping no column is left for"
        found = _missing_columns(missing, names, what) + _patch_hint(entity, operation, missing)
        hint = _delimiter_hint(entity, header, delimiter, len(missing)) or _mapping_hint(names, fields, missing)
        wrong.append(HeaderError(found + hint))
    elif operation.partial and not set(lowered).intersection(map(str.casefold, entity.others)):
        found = f"No column to change: of {entity.name} the file has only {entity.key}. It has: {_name_list(names)}."
        wrong.append(HeaderError(found + _mapping_hint(names, fields, entity.others)))
    if twice and fields is None:
        wrong.append(HeaderError(f"Columns named twice: {', '.join(twice)}. The file has: {_name_list(names)}."))
    return (None, wrong) if wrong else (Columns(names, fields), [])


def _needed(entity: Entity, operation: Operation) -> Sequence[str]:
    """Return the fields for which a file must have a column."""
    if operation.needs == Needs.EVERY_FIELD:
        return entity.columns
    return entity.required if operation.needs == Needs.REQUIRED_FIELDS else (entity.key,)


def _used(entity: Entity, operation: Operation) -> Sequence[str]:
    """Return the fields whose columns are looked at."""
    return (entity.key,) if operation.key_only else entity.columns


def _patch_hint(entity: Entity, operation: Operation, missing: Collection[str]) -> str:
    """Say how to change only what a file has, where it could be meant so."""
    if operation.needs != Needs.EVERY_FIELD or entity.key in missing:
        return ""
    return f" {operation.name} sets every field; to change only those that the file has, send actionType=BULK_PATCH."


def _missing_columns(missing: Iterable[str], names: Iterable[str], what: str = "Missing columns") -> str:
    return f"{what}: {', '.join(missing)}. The file has: {_name_list(names)}."


def _mapping_hint(names: tuple[str, ...], fields: tuple[str, ...] | None, missing: Sequence[str]) -> str:
    """Say how columns of other names are told to be the fields that are missing, and which those probably are."""
    free = [name for name, mapped in zip(names, fields or names, strict=True) if fields is None or not mapped]
    fitting = probable_columns(free, missing)
    if not fitting:
        return ' Columns with other names can be given by mapping, such as {"Kunde": "name"}.'
    shown = json.dumps({shortened(column, 40): field for column, field in fitting.items()}, ensure_ascii=False)
    return f" Probably this mapping fits: {shown}."


def _mapped(
    entity: Entity, names: tuple[str, ...], mapping: ColumnMapping, wrong: list[HeaderError | MappingError]
) -> tuple[str, ...]:
    """Return for each column of a file the field that it is for, as the entity writes it, or "".

    What is wrong with the mapping is added to ``wrong``.
    """
    lowered = [name.casefold() for name in names]
    known = {name.casefold(): name for name in entity.columns}
    fields = [known.get(name, "") for name in lowered]
    # Looked up, not searched for: a mapping may name every column.
    positions = {name: position for position, name in enumerate(lowered)}
    times = Counter(lowered)
    for column, target in mapping.items():
        place = column.strip().casefold()
        if times[place] != 1:
            reason = "has more than once" if place in times else "does not have"
            wrong.append(
                MappingError(
                    f"mapping names the column {_name_list([column])}, which the file {reason}. "
                    f"The file has: {_name_list(names)}."
                )
            )
        elif target is not None and target.strip().casefold() not in known:
            wrong.append(
                MappingError(
                    f"mapping names the field {_name_list([target])}, which {entity.name} does not have. "
                    f"Its fields are: {', '.join(entity.columns)}."
                )
            )
        else:
            fields[positions[place]] = "" if target is None else known[target.strip().casefold()]
        if len(wrong) == _MOST_TOLD:
            break
    return tuple(fields)


def _read_names(text: str, delimiter: str) -> tuple[tuple[str, ...], bool]:
    records, open_quote = read_records(text, delimiter)
    names = tuple(name.strip() for name in records[0]) if records else ()
    return tuple(map(restore, names)) if is_of_results(names) else names, open_quote


def _delimiter_hint(entity: Entity, header: bytes, delimiter: str, missing: int) -> str:
    """Suggest the delimiter with which fewer columns would be missing, if there is one."""
    other = guess_delimiter(header, entity.columns).delimiter
    names = {name.casefold() for name in _read_names(header.decode(), other)[0]}
    if other == delimiter or sum(name.casefold() not in names for name in entity.columns) >= missing:
        return ""
    shown = "a tab" if other == "\t" else f'"{other}"'
    word = DELIMITER_NAMES[other]
    return f" It seems to use {shown} between the columns: please send delimiter={word}, or leave delimiter out."


def _name_list(names: Iterable[str]) -> str:
    """The names for a message, shortened."""
    return shortened(", ".join(shortened(name, 40) for name in names), 300)
