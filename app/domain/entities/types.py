"""The types of fields: each with its constraints, its JSON Schema, and what a wrong value is told."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from app.domain.entities.currencies import CURRENCIES
from app.domain.entities.rules import Damaged, Mismatch, Needs, Rewritten

#: What spreadsheets make of a long number: digits are lost, and different ids become the same.
_SCIENTIFIC = Damaged(
    "ID_IN_SCIENTIFIC_NOTATION",
    "is a long number that a spreadsheet has shortened; format its column as text before saving",
    "E+",
    re.compile(r"\d+(?:[.,]\d+)?E\+\d+"),
)

_NOT_NUL = r"^[^\x00]*$"
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
# Letters of any script on both sides of the @; at least one dot in the domain, no empty label, none that
# begins or ends with a hyphen, a last label that is no number. No quoted local parts, no address literals:
# nobody's mail has them.
_EMAIL = (
    r"^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?\.)+[\p{L}][\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}]$"
)
# A scheme, a host of labels with or without a port, and anything behind that but blanks and controls.
_URL = (
    r"^(?i:https?)://[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?"
    r"(?:\.[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?)*(?::\d{1,5})?(?:[/?#][^\s\p{C}]*)?$"
)
_E164 = r"^\+[1-9]\d{6,14}$"

#: What is put between the digits of a phone number, and between a national number and its trunk prefix.
_PHONE_MARKS: Final = str.maketrans("", "", " \u00a0\u2009\u202f-\u2010\u2011\u2013./()")


def text(most: int, *, pattern: str = _NOT_NUL, **constraints: Any) -> Any:
    """Return the metadata of a text of so many characters, at least one, without the blanks around it."""
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most, pattern=pattern, **constraints)


class OneOf(Mismatch):
    """One of some words, in any case; kept in lower case. An annotation of ``str``.

    Args:
        name: What it is; the code of another word is ``INVALID_`` and the name.
        values: The words.
    """

    def __init__(self, name: str, *values: str) -> None:
        super().__init__(f"INVALID_{name.upper()}", f"is not one of {', '.join(values)}")
        object.__setattr__(self, "values", values)

    values: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.str_schema(
            strip_whitespace=True,
            min_length=1,
            max_length=max(32, *map(len, self.values)),
            pattern=rf"^(?i-u:{'|'.join(map(re.escape, self.values))})$",
            to_lower=True,
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.values)}


def _plain_phone(value: str) -> str:
    """Return the digits of a number alone: ``+49 (0)30 12-34`` and ``0049 30 1234`` are ``+49301234``."""
    digits = value.replace("(0)", "").translate(_PHONE_MARKS)
    return f"+{digits[2:]}" if digits.startswith("00") else digits


_COMMA_DECIMAL: Final = re.compile(r"([+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)),(\d{1,2}|\d{4,})|([+-]?0),(\d+)")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{3}){2,}")
_DOT_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}(?:,(\d+))?")


def _plain_number(value: str) -> str:
    """Return a number as programs write it: ``1.234,50`` and ``1,234.50`` are ``1234.50``."""
    if "," not in value and value.count(".") < 2:
        return value
    stripped = value.strip()
    if match := _DOT_GROUPED.fullmatch(stripped):
        return stripped.replace(".", "").replace(",", ".")
    if match := _COMMA_DECIMAL.fullmatch(stripped):
        whole, part = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
        return f"{whole.replace('.', '')}.{part}"
    return stripped.replace(",", "") if _GROUPED.fullmatch(stripped) else value


Identifier = Annotated[
    str,
    text(128, pattern=_NO_CONTROLS),
    _SCIENTIFIC,
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128}),
]
Name = Annotated[str, text(256), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256})]
Description = Annotated[str, text(4000), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 4000})]
Email = Annotated[
    str,
    text(254, pattern=_EMAIL, to_lower=True),
    Mismatch("INVALID_EMAIL", "is not an email address"),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Url = Annotated[
    str,
    text(2048, pattern=_URL),
    Mismatch("INVALID_URL", "is not a web address that begins with https:// or http://"),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": 2048}),
]
# A library that knows the numbering plans reads 25,000 numbers per second: a fortieth of what the other fields take.
Phone = Annotated[
    str,
    text(16, pattern=_E164),
    Rewritten(_plain_phone),
    Mismatch("INVALID_PHONE", "is not a phone number with its country code, such as +49 30 1234567"),
    WithJsonSchema({"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"}),
]
Country = Annotated[
    str,
    text(2, pattern="^[A-Za-z]{2}$", to_upper=True),
    Mismatch("INVALID_COUNTRY", "is not a country code of two letters, such as DE"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$"}),
]
Currency = Annotated[
    str,
    text(3, pattern=rf"^(?i-u:{'|'.join(CURRENCIES)})$", to_upper=True),
    Mismatch("INVALID_CURRENCY", "is not a currency code such as EUR"),
    WithJsonSchema({"type": "string", "enum": list(CURRENCIES)}),
]
Amount = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=4),
    Rewritten(_plain_number),
    # 1,234 is a thousand here and one there, and so is 1.234: better none than the wrong one.
    Damaged(
        "AMBIGUOUS_NUMBER",
        "can be read in two ways, with or without thousands; write it without separators between them",
        "",
        re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}"),
    ),
    Needs("currency"),
]
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]
Date = date
DateTime = datetime
Boolean = bool

STATUSES = ("active", "inactive", "pending", "archived")
Status = Annotated[str, OneOf("status", *STATUSES)]
