"""The plan of a chunk: what is to be done with each of its rows, decided before the first of them is written.

The plan is recorded in the ledger, and the first one stands. Whoever runs the chunk again follows it: so a row that
made its record stays CREATED, one that changed it UPDATED, and one that found it as it was UNCHANGED, whatever the
records look like by then. What is to be written now follows from the plan and from what is there now.

A deletion leaves nothing behind that could tell of it, so there the plan is all that is known: its row is DELETED,
whoever has made the record vanish.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np

from app.domain.operations.operation import Decision, Operation, Presence


class Write(IntEnum):
    """What is written of a row now."""

    NOTHING = 0
    INSERT = 1
    UPDATE = 2
    DELETE = 3


class Result(IntEnum):
    """What has become of a row that owns its record: what it has done, or why it has failed."""

    CREATED = 0
    UPDATED = 1
    UNCHANGED = 2
    DELETED = 3
    ALREADY_EXISTS = 4
    NOT_FOUND = 5

    @property
    def failed(self) -> bool:
        """Whether the row has done nothing, and should have."""
        return self in (Result.ALREADY_EXISTS, Result.NOT_FOUND)


class Step(NamedTuple):
    """What is written of a row now, and what has become of the row once that is written."""

    write: Write
    result: Result


#: Steps of a chunk that nobody has run before, by decision.
_FIRST: Mapping[Decision, Step] = {
    Decision.INSERT: Step(Write.INSERT, Result.CREATED),
    Decision.UPDATE: Step(Write.UPDATE, Result.UPDATED),
    Decision.UNCHANGED: Step(Write.NOTHING, Result.UNCHANGED),
    Decision.DELETE: Step(Write.DELETE, Result.DELETED),
    Decision.ALREADY_EXISTS: Step(Write.NOTHING, Result.ALREADY_EXISTS),
    Decision.NOT_FOUND: Step(Write.NOTHING, Result.NOT_FOUND),
}


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """What is there of the record of a row, as the action sees it that runs the row.

    Attributes:
        differs: Whether it has other values than the row.
        created_here: Whether the action has made it.
        written_here: Whether the row was the last to write it.
        newer: Whether the last to write it was an action that started later, and the row has nothing to add to that.
        left_alone: What such an action has written of the fields of the row, where the row has something to add.
    """

    differs: bool
    created_here: bool
    written_here: bool
    newer: bool
    left_alone: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        tag: Mapping[str, Any],
        created_by: str | None,
        *,
        fields: Collection[str],
        differing: frozenset[str],
        action_id: str,
        row: int,
        started_at: datetime,
    ) -> Self:
        """Read the audit tag of a record, for a row.

        Args:
            tag: the tag.
            created_by: the action that made the record.
            fields: the fields of which the row says something; none where it deletes.
            differing: those of them of which the record has another value.
            action_id: the action of the row.
            row: the number of the row.
            started_at: when its action started.
        """
        here = tag.get("actionId") == action_id
        newer = "startedAt" in tag and (tag["startedAt"], tag["actionId"]) > (started_at, action_id)
        # A tag that names no fields is that of an action that wrote all of them.
        theirs = frozenset(fields).intersection(tag.get("fields", fields)) if newer else frozenset[str]()
        settled = newer and differing <= theirs
        return cls(
            differs=bool(differing),
            created_here=created_by == action_id,
            written_here=here and tag.get("row") == row,
            newer=settled,
            left_alone=frozenset() if settled else theirs,
        )


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """The decisions of a chunk, one octet for each of its rows, in their order."""

    decisions: bytes

    @classmethod
    def of(cls, row_count: int, first_row: int, rows: Sequence[int], decisions: Any) -> Self:
        """Make a plan of the decisions for some rows; nothing is done with the others.

        Args:
            row_count: how many rows the chunk has.
            first_row: the number of its first row.
            rows: the numbers of the rows that own their record.
            decisions: for each of them a :class:`Decision`, as a sequence or an array of octets.
        """
        octets = np.zeros(row_count, np.uint8)
        octets[np.asarray(rows, np.int64) - first_row] = decisions
        return cls(octets.tobytes())

    def of_rows(self, rows: Sequence[int], first_row: int) -> Any:
        """Return an array of what is decided for some rows."""
        return np.frombuffer(self.decisions, np.uint8)[np.asarray(rows, np.int64) - first_row]

    def owning(self, first_row: int) -> set[int]:
        """Return the rows that own their record."""
        return {first_row + offset for offset, decision in enumerate(self.decisions) if decision != Decision.NONE}

    def having(self, decision: Decision, first_row: int) -> set[int]:
        """Return the rows with a decision."""
        return {first_row + offset for offset, found in enumerate(self.decisions) if found == decision}

    def pack(self) -> bytes:
        """Return the plan as the ledger keeps it: most rows of a chunk are alike, and so take no room."""
        return zlib.compress(self.decisions, 1)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read a plan of the ledger."""
        return cls(zlib.decompress(packed))


def decide(operation: Operation, presence: Any) -> Any:
    """Return the decisions for an array of :class:`Presence`."""
    return np.array([operation.decide(case) for case in Presence], np.uint8)[presence]


def first_steps(decisions: Any) -> tuple[Any, Any]:
    """Return what is to be written, and what comes of it, for rows that nobody can have written before.

    Args:
        decisions: an array of :class:`Decision`.

    Returns:
        An array of :class:`Write` and one of :class:`Result`.
    """
    table = np.zeros((2, max(Decision) + 1), np.uint8)
    for decision, step in _FIRST.items():
        table[:, decision] = step
    return table[0][decisions], table[1][decisions]


def late_decision(operation: Operation, stored: StoredRecord | None) -> Decision:
    """Decide a row of a chunk that was begun before and has no plan.

    Version 0.1 wrote without a plan: what it has written is told by the tags.
    """
    if stored is None:
        return operation.absent
    if stored.created_here and operation.absent == Decision.INSERT:
        return Decision.INSERT
    if operation.changes_records and (stored.written_here or stored.newer):
        return Decision.UPDATE
    return operation.decide(Presence.DIFFERENT if stored.differs else Presence.SAME)


def next_step(operation: Operation, decision: Decision, stored: StoredRecord | None) -> Step:
    """Return what is still to be written of a row, by its decision and by what is there now.

    Where the decision does not fit any more, because somebody else has made or deleted the record since, the row is
    decided anew. What an action that started later has written is left alone.
    """
    if decision == Decision.NONE:
        # Another row owned the record when the plan was made.
        decision = late_decision(operation, stored)
    if _FIRST[decision].write == Write.NOTHING:
        # So that nothing of it can have been written.
        return _FIRST[decision]
    if decision == Decision.DELETE:
        done = stored is None or stored.newer
        return Step(Write.NOTHING if done else Write.DELETE, Result.DELETED)
    if stored is None:
        return _FIRST[operation.absent]
    if decision == Decision.INSERT and not stored.created_here and not stored.written_here:
        decision = operation.decide(Presence.DIFFERENT if stored.differs else Presence.SAME)
        if decision != Decision.UPDATE:
            return _FIRST[decision]
    result = Result.CREATED if stored.created_here else Result.UPDATED
    done = stored.written_here or stored.newer or not operation.changes_records
    return Step(Write.NOTHING if done else Write.UPDATE, result)
