"""The kinds of values that a field may have: what they are in Python, as text, and what wrong ones are told.

A text has to have a form of its own before it is read as a number or a time. Readers are generous otherwise: they take
a number for the seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from app.domain.entities.rules import Mismatch, Rewritten


class Kind(Enum):
    """A kind of value; its name is that of the type which a store keeps it in."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "date-time"


@dataclass(frozen=True, slots=True)
class KindRules:
    """What holds for all values of a kind.

    Attributes:
        pattern: The form of a text that is read; None: any.
        mismatch: What another text is told.
        rewritten: How people write values of the kind.
        normalise: Makes the one form of a value, once it is read.
    """

    pattern: str | None = None
    mismatch: Mismatch | None = None
    rewritten: Rewritten | None = None
    normalise: Callable[[Any], Any] | None = None


_TRUE: Final = ("true", "yes", "1", "on", "wahr", "ja")
_FALSE: Final = ("false", "no", "0", "off", "falsch", "nein")
_BOOLEANS: Mapping[str, str] = {**dict.fromkeys(_TRUE, "true"), **dict.fromkeys(_FALSE, "false")}


def _plain_boolean(text: str) -> str:
    return _BOOLEANS.get(text.strip().lower(), text)


def _iso_date(text: str) -> str:
    """Turn round the day of 31.1.2026: with dots, nobody writes the month first."""
    parts = text.strip().split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return text
    day, month, year = parts
    return f"{year}-{month:>02}-{day:>02}" if len(year) == 4 else text


def _canonical(value: Decimal) -> Decimal:
    """Leave out zeros that say nothing, so that 12.50 and 12.5 are one value."""
    if not value:
        return Decimal(0)
    value = value.normalize()
    return value.quantize(Decimal(1)) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]


def _utc(value: datetime) -> datetime:
    """Return a time in UTC, to the millisecond; one that names no offset is in UTC."""
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


#: Bounds that every store keeps: 64-bit integers, decimals of 34 digits.
KINDS: Mapping[Kind, KindRules] = {
    Kind.TEXT: KindRules(),
    Kind.INTEGER: KindRules(r"^[+-]?\d{1,18}$", Mismatch("INVALID_NUMBER", "is not a whole number")),
    Kind.DECIMAL: KindRules(
        r"^[+-]?\d{1,17}(?:\.\d{1,17})?$", Mismatch("INVALID_NUMBER", "is not a number"), normalise=_canonical
    ),
    Kind.BOOLEAN: KindRules(
        "^(?:true|false)$",
        Mismatch("INVALID_BOOLEAN", "is neither true nor false"),
        Rewritten(_plain_boolean),
    ),
    Kind.DATE: KindRules(
        r"^\d{4}-\d{2}-\d{2}$",
        Mismatch("INVALID_DATE", "is not a date such as 2026-01-31"),
        Rewritten(_iso_date, "."),
    ),
    Kind.DATE_TIME: KindRules(
        r"^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)?$",
        Mismatch("INVALID_DATE_TIME", "is not a time such as 2026-01-31T14:30:00Z"),
        normalise=_utc,
    ),
}

#: The kind of each type of Python that a field may have.
KIND_OF: Mapping[Any, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    Decimal: Kind.DECIMAL,
    bool: Kind.BOOLEAN,
    date: Kind.DATE,
    datetime: Kind.DATE_TIME,
}
