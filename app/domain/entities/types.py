"""The types of fields: each with its constraints, and with what a value is told that does not keep them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

from app.domain.entities.rules import Damaged, Mismatch

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

STATUSES = ("active", "inactive", "pending", "archived")

Identifier = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=_NO_CONTROLS), _SCIENTIFIC
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256, pattern=_NOT_NUL)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=254, pattern=_EMAIL, to_lower=True),
    Mismatch("INVALID_EMAIL", "is not an email address"),
]
Status = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=32,
        pattern=rf"^(?i-u:{'|'.join(STATUSES)})$",
        to_lower=True,
    ),
    Mismatch("INVALID_STATUS", f"is not one of {', '.join(STATUSES)}"),
]
