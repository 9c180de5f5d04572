"""What became of the rows of a chunk: counts, and an entry for each row that did not plainly succeed.

Row numbers are 1-based and count data rows: the header is not a row, nor is a blank line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from app.domain import packed_exceptions
from app.domain.id_filter import IdFilter
from app.domain.outcome_entries import (
    DEAD_LETTER,
    DUPLICATE,
    FAILED_AT_RECORD,
    STATUSES,
    WRITE_REFUSED,
    RowOutcome,
    RowStatus,
)

__all__ = [
    "CHANGED_IDS",
    "CHANGES",
    "DEAD_LETTER",
    "DUPLICATE",
    "FAILED_AT_RECORD",
    "STATUSES",
    "WRITE_REFUSED",
    "ChunkOutcome",
    "Counts",
    "RowOutcome",
    "RowStatus",
    "bit_set",
    "filter_of",
]


#: What rows have done whose record is another one than before.
CHANGES: Final = ("CREATED", "UPDATED", "DELETED")
#: The field of a ledger document that has the filter.
CHANGED_IDS: Final = "changedIds"


@dataclass(frozen=True, slots=True)
class Counts:
    """Row counts of a chunk or of a whole action; ``processed = success + failure + skipped``."""

    success: int = 0
    failure: int = 0
    skipped: int = 0
    duplicate: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    @property
    def changed(self) -> int:
        """Rows that have created, updated or deleted a record."""
        return self.created + self.updated + self.deleted

    @property
    def processed(self) -> int:
        """Rows with an outcome of any kind."""
        return self.success + self.failure + self.skipped

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def to_document(self) -> dict[str, int]:
        """Return the counts under the names that the API and the stores use."""
        return {
            "processedCount": self.processed,
            "successCount": self.success,
            "failureCount": self.failure,
            "skippedCount": self.skipped,
            "duplicateCount": self.duplicate,
            "createdCount": self.created,
            "updatedCount": self.updated,
            "unchangedCount": self.unchanged,
            "deletedCount": self.deleted,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Counts:
        """Read counts from an action, a ledger entry or a message; what is missing counts 0."""
        return cls(
            success=document.get("successCount", 0),
            failure=document.get("failureCount", 0),
            skipped=document.get("skippedCount", 0),
            duplicate=document.get("duplicateCount", 0),
            created=document.get("createdCount", 0),
            updated=document.get("updatedCount", 0),
            unchanged=document.get("unchangedCount", 0),
            deleted=document.get("deletedCount", 0),
        )

    @classmethod
    def of(
        cls, exceptions: Iterable[RowOutcome], *, created: int, updated: int, unchanged: int = 0, deleted: int = 0
    ) -> Counts:
        """Count the plain successes, by what they have done, and the exceptions beside them."""
        failure = skipped = duplicate = 0
        for outcome in exceptions:
            if outcome.status == "FAILED":
                failure += 1
            else:
                skipped += 1
                duplicate += outcome.code == "DUPLICATE"
        success = created + updated + unchanged + deleted
        return cls(success, failure, skipped, duplicate, created, updated, unchanged, deleted)


def bit_set(positions: Any) -> int:
    """Return the number whose bits at these positions, an array, are set."""
    flags = np.zeros(int(positions.max(initial=-1)) + 1, bool)
    flags[positions] = True
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """What became of a chunk.

    ``created``, ``unchanged`` and ``deleted`` are bit sets over the chunk's rows: bit *i* is set when row
    ``first_row + i`` made a new record, found it with the values that it has itself, or deleted it. ``changed_ids`` is
    the filter of the ids of the records that its rows have created, updated or deleted; None: there are none, or a
    version wrote it that kept no filters.
    """

    first_row: int
    row_count: int
    counts: Counts
    exceptions: Sequence[RowOutcome]
    created: int
    unchanged: int = 0
    deleted: int = 0
    changed_ids: IdFilter | None = None

    @property
    def given_up(self) -> bool:
        """Whether its rows have failed because it became a dead letter."""
        return any(entry.code == DEAD_LETTER for entry in self.exceptions)

    def deleted_rows(self) -> set[int]:
        """Return the rows that have deleted their record."""
        return {self.first_row + offset for offset in range(self.row_count) if self.deleted >> offset & 1}

    def code(self, row: int) -> str:
        """Return what a row that plainly succeeded has done."""
        position = row - self.first_row
        return next((code for code, rows in self._done() if rows >> position & 1), "UPDATED")

    def codes(self) -> list[str]:
        """Return for each row what it has done, if it plainly succeeded."""
        found = ["UPDATED"] * self.row_count
        for code, rows in self._done():
            if rows + 1 == 1 << self.row_count:
                return [code] * self.row_count
            octets = np.frombuffer(rows.to_bytes((self.row_count + 7) // 8, "little"), np.uint8)
            for position in np.flatnonzero(np.unpackbits(octets, bitorder="little")).tolist():
                found[position] = code
        return found

    def _done(self) -> tuple[tuple[str, int], ...]:
        return ("CREATED", self.created), ("UNCHANGED", self.unchanged), ("DELETED", self.deleted)

    def to_document(self) -> dict[str, Any]:
        """Return the fields that close a ledger document."""
        octets = (self.row_count + 7) // 8
        document = {
            "firstRow": self.first_row,
            "rowCount": self.row_count,
            "counts": self.counts.to_document(),
            "packed": packed_exceptions.pack(self.exceptions, self.first_row),
            "created": self.created.to_bytes(octets, "little"),
        }
        # Most chunks have none of these.
        rare = {"unchanged": self.unchanged, "deleted": self.deleted}
        document |= {name: rows.to_bytes(octets, "little") for name, rows in rare.items() if rows}
        return document if self.changed_ids is None else {**document, CHANGED_IDS: self.changed_ids.octets}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> ChunkOutcome:
        """Read a closed ledger document."""
        return cls(
            document["firstRow"],
            document["rowCount"],
            Counts.from_document(document["counts"]),
            _exceptions(document),
            int.from_bytes(document["created"], "little"),
            int.from_bytes(document.get("unchanged", b""), "little"),
            int.from_bytes(document.get("deleted", b""), "little"),
            filter_of(document),
        )


def filter_of(document: Mapping[str, Any]) -> IdFilter | None:
    """Return the filter that a ledger document has, if it has one."""
    return IdFilter(bytes(document[CHANGED_IDS])) if CHANGED_IDS in document else None


def _exceptions(document: Mapping[str, Any]) -> list[RowOutcome]:
    if "packed" in document:
        return packed_exceptions.unpack(document["packed"], document["firstRow"])
    # As version 0.1 kept them: a document for each.
    return [RowOutcome.from_document(entry) for entry in document["exceptions"]]
