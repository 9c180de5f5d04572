"""The entry of one row that did not plainly succeed.

Row numbers are 1-based and count data rows: the header is not a row, nor is a blank line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

#: Code of a row that the database did not take, although it was valid.
WRITE_REFUSED = "WRITE_REFUSED"
#: Codes of rows that are valid, but whose record is there and should not be, or is not there and should be.
ALREADY_EXISTS = "ALREADY_EXISTS"
NOT_FOUND = "NOT_FOUND"
#: Failures that follow from what is stored, not from the file: these rows own their record all the same.
FAILED_AT_RECORD = frozenset({WRITE_REFUSED, ALREADY_EXISTS, NOT_FOUND})

#: Code of a row whose chunk was given up.
DEAD_LETTER = "DEAD_LETTER"
#: Code of a row that another row of its file takes the record from.
DUPLICATE = "DUPLICATE"

#: The message of a row whose message follows from its file and was not kept.
DERIVED = ""

#: Messages that follow from the code alone.
FIXED_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        ALREADY_EXISTS: "There is a record with this id already.",
        NOT_FOUND: "There is no record with this id.",
    }
)

#: Codes whose texts nothing but the ledger knows.
_KEPT = frozenset({WRITE_REFUSED, DEAD_LETTER})

RowStatus = Literal["SUCCESS", "FAILED", "SKIPPED"]
STATUSES: tuple[RowStatus, ...] = get_args(RowStatus)


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


def failed_at_record(row: int, code: str) -> RowOutcome:
    """Return the entry of a row that failed for what is there of its record: a code with a fixed message."""
    return RowOutcome(row, "FAILED", code, FIXED_MESSAGES[code])


def refused_by_database(row: int, reason: str) -> RowOutcome:
    """Return the entry of a row that the database did not take."""
    return RowOutcome(row, "FAILED", WRITE_REFUSED, f"The database did not take this record: {reason}.")


def duplicate_of(row: int, owner: int) -> RowOutcome:
    """Return the entry of a row whose record another row of its file owns."""
    return RowOutcome(row, "SKIPPED", DUPLICATE, f"Row {owner} of this file has the same record.", owner=owner)
