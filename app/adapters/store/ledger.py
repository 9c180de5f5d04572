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
from pymongo.errors import DuplicateKeyError

from app.domain.outcomes import ChunkOutcome, Counts

#: Documents asked for in one ``$in`` query: small enough to stay well below a message's limit.
_IDS_PER_QUERY = 1000

_SUMMARY = {"counts": 1, "dead": 1}


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger document as the one who opened it found it.

    ``counts`` are those of the outcome, None while there is none; ``dead`` says that the chunk was given up.
    """

    first: bool
    counts: Counts | None = None
    dead: bool = False


class Ledger:
    """The collection of chunk outcomes."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def open(self, chunk_id: str) -> Entry:
        """Announce that the caller is about to run the chunk, and learn whether anybody was before."""
        before = await self._collection.find_one_and_update(
            {"_id": chunk_id},
            {"$inc": {"openings": 1}, "$set": {"openedAt": datetime.now(UTC)}},
            projection=_SUMMARY,
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        if before is None:
            return Entry(first=True)
        return Entry(first=False, counts=_counts(before), dead=before.get("dead", False))

    async def opened_once(self, chunk_id: str) -> bool:
        """Tell whether nobody has opened the chunk after its first opening."""
        document = await self._collection.find_one({"_id": chunk_id}, {"openings": 1})
        return document is not None and document["openings"] == 1

    async def close(self, chunk_id: str, outcome: ChunkOutcome) -> Entry:
        """Store the outcome of a chunk; return the entry as it was before.

        All who ran the same chunk come to the same outcome, so that closing twice changes nothing.
        """
        before = await self._collection.find_one_and_update(
            {"_id": chunk_id},
            {"$set": {**outcome.to_document(), "dead": False, "closedAt": datetime.now(UTC)}},
            projection=_SUMMARY,
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        before = before or {}
        return Entry(first=False, counts=_counts(before), dead=before.get("dead", False))

    async def close_as_dead(self, chunk_id: str, outcome: ChunkOutcome) -> Counts:
        """Store that a chunk was given up, unless it has its outcome; return the counts that stand then."""
        closing = {**outcome.to_document(), "dead": True, "closedAt": datetime.now(UTC)}
        try:
            # Matches an entry that is open; where there is none, makes one; fails on one that is closed.
            await self._collection.update_one(
                {"_id": chunk_id, "counts": {"$exists": False}}, {"$set": closing}, upsert=True
            )
        except DuplicateKeyError:
            standing = await self._collection.find_one({"_id": chunk_id}, _SUMMARY)
            return _counts(standing) or outcome.counts
        return outcome.counts

    async def summaries(self, chunk_ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of the chunks that are closed."""
        found: dict[str, Entry] = {}
        async for document in self._read(chunk_ids, _SUMMARY):
            if (counts := _counts(document)) is not None:
                found[document["_id"]] = Entry(first=False, counts=counts, dead=document.get("dead", False))
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


def _counts(document: dict[str, Any]) -> Counts | None:
    return Counts.from_document(document["counts"]) if "counts" in document else None
