"""Checking one column of a chunk: all of its values at once, and one by one only those that are not plainly good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails, ValidationError

from app.domain.cells import CLEAR, KEEP, EmptyCells
from app.domain.entities.field import Field
from app.domain.entities.kinds import Kind
from app.domain.outcomes import RowOutcome
from app.domain.printable import printable

MISSING: Final = object()
"""What an object has of a field that it does not have."""

_SHOWN: Final = 60  # characters of a value that a message shows
_WRONG: Final = object()
_BOOLEANS: Final = {True: "true", False: "false"}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("ge", "is less than {}"),
    "greater_than": ("gt", "is not greater than {}"),
    "less_than_equal": ("le", "is greater than {}"),
    "less_than": ("lt", "is not less than {}"),
    "decimal_max_digits": ("max_digits", "has more than {} digits"),
    "decimal_whole_digits": ("whole_digits", "has more than {} digits before the point"),
    "decimal_max_places": ("decimal_places", "has more than {} digits behind the point"),
}


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
        field, cleared = self.field, self._cleared(column)
        texts = self._rewritten(column)
        damaged = self._damaged(texts)
        valid: list[Any] = field.column_validator.validate_python(texts)
        # None marks what is not valid. Most columns have none, and all() is the fastest look at that.
        whole = all(valid) if field.kind == Kind.TEXT else None not in valid
        if field.normalise is not None:
            valid = [value if value is None else field.normalise(value) for value in valid]
        if whole and not cleared and not damaged:
            return valid, []
        wrong: list[int] = []
        for position, value in enumerate(valid):
            if position in cleared:
                found = self._to_clear
            elif position in damaged:
                found = _WRONG
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
        [text] = self._rewritten([value])
        damage = field.damage
        if damage is not None and self._damaged([text]):
            return _failed(row, damage.code, f"{label} {damage.message}: {shown(value)}", label)
        try:
            field.value_validator.validate_python(text)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            code, message = _fault(field, label, value, details)
            return _failed(row, code, message, label)
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
        if self.empty_cells is None or CLEAR not in _joined(column):
            return set()
        return {position for position, value in enumerate(column) if _is_clear(value)}

    def _damaged(self, column: list[Any]) -> set[int]:
        """Return the positions of values that were damaged before they came here."""
        damage = self.field.damage
        # One search through all of it: hardly any chunk has such a value.
        if damage is None or damage.mark not in _joined(column):
            return set()
        fits = damage.pattern.fullmatch
        return {position for position, value in enumerate(column) if isinstance(value, str) and fits(value.strip())}

    def _rewritten(self, column: list[Any]) -> list[Any]:
        """Return the values as they are meant."""
        if self.field.kind == Kind.BOOLEAN:
            column = [_BOOLEANS[value] if isinstance(value, bool) else value for value in column]
        for rule in self.field.rewritten:
            if rule.mark in _joined(column):
                column = _each_text(column, rule.rewrite)
        return column


def shown(value: Any) -> str:
    """Return a value as messages quote it: shortened, and fit for any terminal and any store."""
    if not isinstance(value, str):
        # JSON may nest deeply and be large: its kind says enough.
        return type(value).__name__ if isinstance(value, (Mapping, list, tuple)) else repr(value)[:_SHOWN]
    return f'"{printable(value, _SHOWN)}"'


def _joined(column: list[Any]) -> str:
    try:
        return "\0".join(column)
    except TypeError:
        # Values that came as JSON.
        return "\0".join(value for value in column if isinstance(value, str))


def _each_text(column: list[Any], change: Callable[[str], str]) -> list[Any]:
    return [change(value) if isinstance(value, str) else value for value in column]


def _is_blank(value: Any) -> bool:
    return value is None or value is MISSING or (isinstance(value, str) and not value.strip())


def _is_clear(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == CLEAR


def _fault(field: Field, label: str, value: Any, details: ErrorDetails) -> tuple[str, str]:
    """Return code and message for an invalid value of a column."""
    kind = details["type"]
    if value is MISSING:
        return "REQUIRED", f"{label} is missing."
    if value is None or kind == "string_too_short":
        return "REQUIRED", f"{label} is empty."
    if kind == "string_unicode":
        return "INVALID_UTF8", f"{label} is not valid UTF-8: {shown(value)}"
    if kind == "string_too_long":
        limit = details["ctx"]["max_length"]
        return "TOO_LONG", f"{label} has more than {limit} characters: {shown(value)}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return "OUT_OF_RANGE", f"{label} {words.format(details['ctx'][name])}: {shown(value)}"
    if kind in ("value_error", "assertion_error"):
        # Raised by a rule of the field's own.
        return "INVALID_VALUE", f"{label} is not valid, {details['ctx']['error']}: {shown(value)}"
    if field.kind == Kind.TEXT and kind == "string_type":
        return "INVALID_VALUE", f"{label} is not text: {shown(value)}"
    if field.mismatch is not None and "\0" not in str(value):
        return field.mismatch.code, f"{label} {field.mismatch.message}: {shown(value)}"
    return "INVALID_CHARACTER", f"{label} has a control character: {shown(value)}"


def _failed(row: int, code: str, message: str, column: str) -> RowOutcome:
    return RowOutcome(row, "FAILED", code, message, column)
