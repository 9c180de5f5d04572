"""An action type as a declaration: what is done with a row, by what is there of its record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


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
    DELETE = 4
    #: Nothing: the row fails, because the record that it is to make is there.
    ALREADY_EXISTS = 5
    #: Nothing: the row fails, because the record that it is about is not there.
    NOT_FOUND = 6


class Needs(Enum):
    """Which columns a file must have."""

    #: That of every field of the entity.
    EVERY_FIELD = "every field"
    #: Those of the fields that a record cannot be without.
    REQUIRED_FIELDS = "required fields"
    #: That of the field that identifies a record.
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Operation:
    """An action type.

    Attributes:
        name: As clients write it in ``actionType``.
        summary: What it does, for the description of the API: the end of a sentence that begins with its name.
        absent: What is done with a row that has no record.
        same: What is done where the record has the values of the row.
        different: What is done where it has others.
        needs: Which columns a file must have.
        key_only: Whether nothing of a row but its key is looked at.
        partial: Whether a row need not say everything of its record: what it does not say is left as it is.
    """

    name: str
    summary: str
    absent: Decision
    same: Decision
    different: Decision
    needs: Needs = Needs.EVERY_FIELD
    key_only: bool = False
    partial: bool = False

    def decide(self, presence: Presence) -> Decision:
        """Return what is done with a row."""
        return (self.absent, self.same, self.different)[presence]

    @property
    def changes_records(self) -> bool:
        """Whether it gives records that are there other values."""
        return self.different == Decision.UPDATE
