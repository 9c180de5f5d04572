"""The entry of one row that did not plainly succeed.

Row numbers are 1-based and count data rows: the header is not a row, nor is a blank line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

#: Code of a row that the database did not take, although it was valid.
WRITE_REFUSED = "WRITE_REFUSED"

#: Code of a row whose chunk was given up.
DEAD_LETTER = "DEAD_LETTER"
#: Code of a row that another row of its file takes the record from.
DUPLICATE = "DUPLICATE"

#: The message of a row whose message follows from its file and was not kept.
DERIVED = ""

#: Codes whose texts nothing but the ledger knows.
_KEPT = frozenset({WRITE_REFUSED, DEAD_LETTER})

RowStatus = Literal["SUCCESS", "FAILED", "SKIPPED"]


class RowOutcome(NamedTuple):
    """One row that did not plainly succeed.

    ``owner`` is, for a DUPLICATE, the number of the row of the same action that owns the record.
    """

    row: int
    status: RowStatus
    code: str
    message: str
    column: str | None = None
    owner: int | None = None

    @property
    def kept(self) -> bool:
        """Whether the ledger keeps message and column; else they follow from the file."""
        return self.code in _KEPT

    def to_document(self) -> dict[str, Any]:
        """Return the entry as the ledger stores it, without empty parts."""
        return {key: value for key, value in self._asdict().items() if value is not None}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RowOutcome:
        """Read an entry of the ledger back."""
        return cls(**document)


def duplicate_of(row: int, owner: int) -> RowOutcome:
    """Return the entry of a row whose record another row of its file owns."""
    return RowOutcome(row, "SKIPPED", DUPLICATE, f"Row {owner} of this file has the same record.", owner=owner)
