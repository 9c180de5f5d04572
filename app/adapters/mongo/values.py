"""Values of fields as BSON: for each kind the type of its elements, and how a value is encoded and read back.

Source of the layouts: bsonspec.org, version 1.1; for decimals IEEE 754-2008, decimal128 with a binary coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any, Final

from bson import Decimal128

from app.domain.entities.kinds import Kind

_INT64: Final = Struct("<q").pack
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_EPOCH_DAY, _DAY = date(1970, 1, 1).toordinal(), 86_400_000
#: The exponent is kept so much greater, and begins at this bit.
_BIAS, _EXPONENT_BIT = 6176, 113


@dataclass(frozen=True, slots=True)
class Encoding:
    """How values of a kind are encoded.

    Attributes:
        octet: The type of an element.
        width: Octets of a value.
        encode: Encodes a value.
    """

    octet: int
    width: int
    encode: Callable[[Any], bytes]


def _boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\0"


def _date(value: date) -> bytes:
    # There is no type for a day alone: it is the midnight with which it begins, in UTC.
    return _INT64((value.toordinal() - _EPOCH_DAY) * _DAY)


def _date_time(value: datetime) -> bytes:
    return _INT64((value - _EPOCH) // _MILLISECOND)


def _decimal(value: Decimal) -> bytes:
    exponent = int(value.as_tuple().exponent)
    coefficient = int(value.scaleb(-exponent))
    high = (exponent + _BIAS) << _EXPONENT_BIT
    return (abs(coefficient) | high | (coefficient < 0) << 127).to_bytes(16, "little")


#: All kinds but text, whose values differ in width.
ENCODINGS: Mapping[Kind, Encoding] = {
    Kind.INTEGER: Encoding(0x12, 8, _INT64),
    Kind.DECIMAL: Encoding(0x13, 16, _decimal),
    Kind.BOOLEAN: Encoding(0x08, 1, _boolean),
    Kind.DATE: Encoding(0x09, 8, _date),
    Kind.DATE_TIME: Encoding(0x09, 8, _date_time),
}


#: What is the same in the database and here.
_PLAIN: Final = (str, bool, int, float, datetime, type(None))


def plain(value: Any) -> Any:
    """Return a value of a document without the driver's types; one that no field can have is text.

    Documents and lists in it are taken along.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(plain, value))
    return str(value)
