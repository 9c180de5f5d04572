"""Checking one column of a chunk: all of its values at once, and one by one only those that are not plainly good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails, ValidationError

from app.domain.cells import CLEAR, KEEP, EmptyCells
from app.domain.entities.field import Field
from app.domain.entities.rules import Damaged, Mismatch
from app.domain.outcomes import RowOutcome
from app.domain.printable import printable

MISSING: Final = object()
"""What an object has of a field that it does not have."""

_SHOWN: Final = 60  # characters of a value that a message shows
_WRONG: Final = object()


@dataclass(frozen=True, slots=True)
class ColumnCheck:
    """How the values of a column are read.

    Attributes:
        field: What they are for.
        empty_cells: What an empty one means, where a row need not say everything; None: it must.
    """

    field: Field
    empty_cells: EmptyCells | None

    def check(self, column: list[Any]) -> tuple[list[Any], list[int]]:
        """Return the normalised values of a column, and the positions of those that are wrong.

        Where there is none, None stands for a record that is to have none, and ``KEEP`` for one that keeps what it has.
        """
        cleared = self._cleared(column)
        valid = self.field.column_validator.validate_python(column)
        if self.field.damage is not None:
            valid = _without_damaged(valid, self.field.damage)
        # None marks what is not valid. Most columns have none, and all() is the fastest look at that.
        if not cleared and all(valid):
            return valid, []
        wrong: list[int] = []
        for position, value in enumerate(valid):
            if position in cleared:
                found = self._to_clear
            elif value is not None:
                continue
            elif column[position] is MISSING:
                found = self._missing
            else:
                found = self._empty if _is_blank(column[position]) else _WRONG
            if found is _WRONG:
                wrong.append(position)
            else:
                valid[position] = found
        return valid, wrong

    def explain(self, label: str, row: int, value: Any) -> RowOutcome:
        """Say what is wrong with a value of a row, in a column that is called so."""
        field, partial = self.field, self.empty_cells is not None
        if partial and (_is_clear(value) or (_is_blank(value) and self.empty_cells == EmptyCells.CLEAR)):
            return _failed(row, "CANNOT_CLEAR", f"{label} cannot be cleared: it is required.", label)
        if partial and _is_blank(value):
            return _failed(row, "EMPTY_CELL", f"{label} is empty, and emptyCells is reject.", label)
        try:
            field.value_validator.validate_python(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            code, message = _fault(field.mismatch, label, value, details)
            return _failed(row, code, message, label)
        damage = field.damage
        if damage is not None and damage.pattern.fullmatch(str(value).strip()):
            return _failed(row, damage.code, f"{label} {damage.message}: {shown(value)}", label)
        raise AssertionError("a value was wrong in its column, and is good alone")

    @property
    def _to_clear(self) -> Any:
        return _WRONG if self.field.required else None

    @property
    def _empty(self) -> Any:
        """What an empty cell comes to."""
        if self.empty_cells == EmptyCells.SKIP:
            return KEEP
        return _WRONG if self.empty_cells == EmptyCells.REJECT else self._to_clear

    @property
    def _missing(self) -> Any:
        return self._to_clear if self.empty_cells is None else KEEP

    def _cleared(self, column: list[Any]) -> set[int]:
        # One search through all of it: hardly any chunk has such a value.
        if self.empty_cells is None or CLEAR not in "\0".join(value for value in column if isinstance(value, str)):
            return set()
        return {position for position, value in enumerate(column) if _is_clear(value)}


def shown(value: Any) -> str:
    """Return a value as messages quote it: shortened, and fit for any terminal and any store."""
    if not isinstance(value, str):
        # JSON may nest deeply and be large: its kind says enough.
        return type(value).__name__ if isinstance(value, (Mapping, list, tuple)) else repr(value)[:_SHOWN]
    return f'"{printable(value, _SHOWN)}"'


def _is_blank(value: Any) -> bool:
    return value is None or value is MISSING or (isinstance(value, str) and not value.strip())


def _is_clear(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == CLEAR


def _without_damaged(column: list[str | None], damage: Damaged) -> list[str | None]:
    """Return the column with None in the place of values that were damaged before they came here."""
    # One search through all of it: hardly any chunk has such a value.
    if damage.mark not in "\0".join(filter(None, column)):
        return column
    return [None if value and damage.pattern.fullmatch(value) else value for value in column]


def _fault(mismatch: Mismatch | None, column: str, value: Any, details: ErrorDetails) -> tuple[str, str]:
    """Return code and message for an invalid value of a column."""
    kind = details["type"]
    if value is MISSING:
        return "REQUIRED", f"{column} is missing."
    if value is None or kind == "string_too_short":
        return "REQUIRED", f"{column} is empty."
    if kind == "string_unicode":
        return "INVALID_UTF8", f"{column} is not valid UTF-8: {shown(value)}"
    if kind == "string_too_long":
        limit = details["ctx"]["max_length"]
        return "TOO_LONG", f"{column} has more than {limit} characters: {shown(value)}"
    if kind == "string_pattern_mismatch" and mismatch and "\0" not in str(value):
        return mismatch.code, f"{column} {mismatch.message}: {shown(value)}"
    if kind == "string_pattern_mismatch":
        return "INVALID_CHARACTER", f"{column} has a control character: {shown(value)}"
    return "INVALID_VALUE", f"{column} is not text: {shown(value)}"


def _failed(row: int, code: str, message: str, column: str) -> RowOutcome:
    return RowOutcome(row, "FAILED", code, message, column)
