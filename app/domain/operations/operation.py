"""An action type as a declaration: what is done with a row, by what is there of its record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Presence(IntEnum):
    """What is there of the record of a row."""

    ABSENT = 0
    SAME = 1
    DIFFERENT = 2


class Decision(IntEnum):
    """What a chunk does with a row. Kept in the ledger: a number is never given another meaning."""

    #: Nothing, because the row is not valid or another one owns its record.
    NONE = 0
    INSERT = 1
    UPDATE = 2
    #: Nothing, because the record is as the row says.
    UNCHANGED = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """An action type.

    Attributes:
        name: As clients write it in ``actionType``.
        absent: What is done with a row that has no record.
        same: What is done where the record has the values of the row.
        different: What is done where it has others.
    """

    name: str
    absent: Decision
    same: Decision
    different: Decision

    def decide(self, presence: Presence) -> Decision:
        """Return what is done with a row."""
        return (self.absent, self.same, self.different)[presence]
