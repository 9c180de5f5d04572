"""Failures of rows, grouped by what is wrong with them: the same code, column and value is one thing to mend."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field

from app.domain.outcomes import RowOutcome
from app.domain.printable import printable

#: Characters of a value that are kept and shown, and numbers of rows of a group.
_VALUE, _ROWS = 100, 10
#: Most values that are told apart. A file of which each row fails for another value has one group for all that follow.
_MOST = 1000


@dataclass(slots=True)
class FailureGroup:
    """Rows that failed for the same reason.

    Attributes:
        code: What is wrong.
        column: Where; None: it is the row as a whole.
        value: What stands there, shortened; None: it is the row as a whole, or these are various.
        message: Of the first of them.
        various: Whether these are all rows whose values came too late to be told apart.
        count: How many there are.
        rows: The numbers of the first of them.
    """

    code: str
    column: str | None
    value: str | None
    message: str
    various: bool = False
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        """Count a row."""
        self.count += 1
        if len(self.rows) < _ROWS:
            self.rows.append(row)


class FailureGroups:
    """The groups of failures, made one failure after another, in the order of the rows; their number is bounded."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._groups: dict[Hashable, FailureGroup] = {}
        #: Failures so far.
        self.count = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, failure: RowOutcome, value: str | None) -> None:
        """Add a row that failed, with what stands in its column."""
        self.count += 1
        key: Hashable = (failure.code, failure.column, _short_key(value), failure.message if failure.kept else None)
        group = self._groups.get(key)
        if group is None and len(self._groups) >= self._most:
            key, value = (failure.code, failure.column), None
            group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = FailureGroup(
                failure.code,
                failure.column,
                None if value is None else printable(value, _VALUE),
                failure.message,
                various=key == (failure.code, failure.column),
            )
        group.add(failure.row)

    def largest(self, limit: int) -> list[FailureGroup]:
        """Return the groups with the most rows, largest first; of equal ones the one that begins earlier."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.rows[0]))[:limit]


def _short_key(value: str | None) -> Hashable:
    """Return what tells a value from every other: a cell may be large."""
    if value is None or len(value) <= _VALUE:
        return value
    return hashlib.blake2b(value.encode(errors="surrogatepass"), digest_size=16).digest()
