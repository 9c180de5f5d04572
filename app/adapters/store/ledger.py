"""The ledger ``chunk_outcomes``: one document per chunk, ``_id`` = ``actionId:index``, read and written by it alone.

A document is opened before the first write of a chunk and closed with its outcome after the last. Whoever
opens it second knows by that alone that somebody has, or may have, written part of the chunk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument

from app.domain.outcomes import Counts, RowOutcome

#: Documents asked for in one ``$in`` query: small enough to stay well below a message's limit.
_IDS_PER_QUERY = 1000


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """What became of a chunk.

    ``created`` is a bit set over the chunk's rows: bit *i* is set when row ``first_row + i`` made a new record.
    """

    first_row: int
    row_count: int
    counts: Counts
    exceptions: Sequence[RowOutcome]
    created: int

    def to_document(self) -> dict[str, Any]:
        """Return the fields that close a ledger document."""
        return {
            "firstRow": self.first_row,
            "rowCount": self.row_count,
            "counts": self.counts.to_document(),
            "exceptions": [outcome.to_document() for outcome in self.exceptions],
            "created": self.created.to_bytes((self.row_count + 7) // 8, "little"),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> ChunkOutcome:
        """Read a closed ledger document."""
        return cls(
            document["firstRow"],
            document["rowCount"],
            Counts.from_document(document["counts"]),
            [RowOutcome.from_document(entry) for entry in document["exceptions"]],
            int.from_bytes(document["created"], "little"),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger document as the one who opened it found it."""

    first: bool
    counts: Counts | None

    @property
    def closed(self) -> bool:
        """Whether the chunk has its outcome already."""
        return self.counts is not None


class Ledger:
    """The collection of chunk outcomes."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def open(self, chunk_id: str) -> Entry:
        """Announce that the caller is about to run the chunk, and learn whether anybody was before."""
        before = await self._collection.find_one_and_update(
            {"_id": chunk_id},
            {"$inc": {"openings": 1}, "$set": {"openedAt": datetime.now(UTC)}},
            projection={"counts": 1},
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        if before is None:
            return Entry(first=True, counts=None)
        counts = before.get("counts")
        return Entry(first=False, counts=None if counts is None else Counts.from_document(counts))

    async def opened_once(self, chunk_id: str) -> bool:
        """Tell whether nobody has opened the chunk after its first opening."""
        document = await self._collection.find_one({"_id": chunk_id}, {"openings": 1})
        return document is not None and document["openings"] == 1

    async def close(self, chunk_id: str, outcome: ChunkOutcome) -> None:
        """Store the outcome of a chunk. All who ran the same chunk come to the same outcome."""
        await self._collection.update_one(
            {"_id": chunk_id}, {"$set": {**outcome.to_document(), "closedAt": datetime.now(UTC)}}, upsert=True
        )

    async def counts(self, chunk_ids: Sequence[str]) -> dict[str, Counts]:
        """Return the counts of those of the chunks that are closed."""
        found: dict[str, Counts] = {}
        async for document in self._read(chunk_ids, {"counts": 1}):
            if "counts" in document:
                found[document["_id"]] = Counts.from_document(document["counts"])
        return found

    async def outcomes(self, chunk_ids: Sequence[str]) -> dict[str, ChunkOutcome]:
        """Return the outcomes of those of the chunks that are closed."""
        found: dict[str, ChunkOutcome] = {}
        async for document in self._read(chunk_ids, None):
            if "counts" in document:
                found[document["_id"]] = ChunkOutcome.from_document(document)
        return found

    async def _read(self, chunk_ids: Sequence[str], projection: dict[str, int] | None) -> AsyncIterator[dict[str, Any]]:
        for start in range(0, len(chunk_ids), _IDS_PER_QUERY):
            ids = list(chunk_ids[start : start + _IDS_PER_QUERY])
            async for document in self._collection.find({"_id": {"$in": ids}}, projection):
                yield document
