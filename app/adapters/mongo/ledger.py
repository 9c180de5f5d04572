"""The ledger ``chunk_outcomes``: one document per finished chunk, ``_id`` = ``actionId:index``, written once.

Beside it, ``chunk_openings`` counts how often a chunk was begun, and has its plan. A chunk is opened before anything
else, its plan is recorded before its first write, and it is closed with its outcome after the last; whoever opens it
second knows by that alone that somebody has, or may have, written a part of it. Both are read and written by ``_id``
alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, ClassVar

from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import expiry_index
from app.domain.id_filter import IdFilter
from app.domain.outcomes import CHANGED_IDS, ChunkOutcome, Counts, filter_of
from app.domain.stalls import Opening

#: Documents asked for in one ``$in`` query: small enough to stay well below a message's limit.
_IDS_PER_QUERY = 1000

_SUMMARY = {"counts": 1, "dead": 1}


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished chunk in short: its counts, and whether it was given up."""

    counts: Counts
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished chunk: its outcome, and when it was finished."""

    outcome: ChunkOutcome
    at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """That a finished chunk has changed records.

    Attributes:
        ids: The filter of their ids; None: a version wrote the entry that kept none.
        at: When the chunk was finished.
    """

    ids: IdFilter | None
    at: datetime

    def may_have(self, key: bytes) -> bool:
        """Tell whether the record with this key may be one of them."""
        return self.ids is None or self.ids.may_have(key)


@MONGO.at_border
class Ledger:
    """The outcomes of chunks, and who has begun them."""

    #: Of both collections: what removes the entries of actions that are kept for a time only.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (expiry_index(),)

    def __init__(self, outcomes: Any, openings: Any) -> None:
        self._outcomes = outcomes
        self._openings = openings

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        for collection in (self._outcomes, self._openings):
            await collection.create_indexes(list(self.INDEXES))

    async def open(self, chunk_id: str) -> bool:
        """Announce that the caller is about to run the chunk; True for the first who does."""
        while True:
            now = datetime.now(UTC)
            try:
                # Inserted first: an upsert by _id is not atomic on every server, and would tell several that they are.
                await self._openings.insert_one({"_id": chunk_id, "openings": 1, "at": now})
            except DuplicateKeyError:
                change = {"$inc": {"openings": 1}, "$set": {"at": now}}
                if (await self._openings.update_one({"_id": chunk_id}, change)).matched_count:
                    return False
            else:
                return True

    async def reserve(self, chunk_id: str) -> bool:
        """Note that whoever opens the chunk next is not the first, without opening it; False where it was opened."""
        try:
            await self._openings.insert_one({"_id": chunk_id, "openings": 0})
        except DuplicateKeyError:
            return False
        return True

    async def withdraw(self, chunk_id: str) -> None:
        """Take back the only opening of a chunk, whose caller was the first and has written nothing."""
        await self._openings.delete_one({"_id": chunk_id, "openings": 1})

    async def record_plan(self, chunk_id: str, plan: bytes) -> tuple[bytes, bool]:
        """Store the plan of a chunk that has been opened, unless it has one.

        Returns:
            The plan that stands, and whether it is the caller's: another one may be the same by chance.
        """
        run = token_bytes(8)
        document = await self._openings.find_one_and_update(
            {"_id": chunk_id},
            # The first stands: what is pushed behind it is cut off.
            {"$push": {"plans": {"$each": [{"run": run, "plan": plan}], "$slice": 1}}},
            projection={"plans": 1},
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return plan, True
        [standing] = document["plans"]
        return bytes(standing["plan"]), bytes(standing["run"]) == run

    async def plan(self, chunk_id: str) -> bytes | None:
        """Return the plan of a chunk, None while it has none."""
        document = await self._openings.find_one({"_id": chunk_id}, {"plans": 1})
        plans = (document or {}).get("plans")
        return bytes(plans[0]["plan"]) if plans else None

    async def openings(self, chunk_ids: Sequence[str]) -> dict[str, Opening]:
        """Return for those of the chunks that were begun how often, and when last."""
        found = _read(self._openings, chunk_ids, {"openings": 1, "at": 1})
        return {
            document["_id"]: Opening(document["openings"], document.get("at"))
            async for document in found
            if document["openings"]
        }

    async def entry(self, chunk_id: str) -> Entry | None:
        """Return the entry of a chunk, None while it has no outcome."""
        document = await self._outcomes.find_one({"_id": chunk_id}, _SUMMARY)
        return None if document is None else _entry(document)

    async def close(self, chunk_id: str, outcome: ChunkOutcome) -> tuple[Entry, bool]:
        """Store the outcome of a chunk. The first outcome stands, except that it takes the place of a dead one.

        Returns the entry that stands, and whether a dead one had to make way.
        """
        document = _document(chunk_id, outcome, dead=False)
        standing = await self._insert(document)
        if standing is None:
            return Entry(outcome.counts), False
        if not standing.dead:
            return standing, False
        await self._outcomes.replace_one({"_id": chunk_id, "dead": True}, document)
        return await self.entry(chunk_id) or standing, True

    async def close_as_dead(self, chunk_id: str, outcome: ChunkOutcome) -> Entry:
        """Store that a chunk was given up, unless it has an outcome; return the entry that stands."""
        standing = await self._insert(_document(chunk_id, outcome, dead=True))
        return standing or Entry(outcome.counts, dead=True)

    async def store_owners(self, chunk_id: str, owners: Mapping[int, int]) -> None:
        """Store with the entry of a chunk that was given up which of its rows are duplicates, and of which row.

        An outcome that has taken its place in the meantime needs them no more, and is not harmed.
        """
        pairs = [[row, owner] for row, owner in sorted(owners.items())]
        await self._outcomes.update_one({"_id": chunk_id}, {"$set": {"owners": pairs}})

    async def owners(self, chunk_id: str) -> dict[int, int] | None:
        """Return the duplicates of a chunk that was given up, each with its owner; None when they are not stored."""
        document = await self._outcomes.find_one({"_id": chunk_id}, {"owners": 1})
        pairs = (document or {}).get("owners")
        return None if pairs is None else dict(pairs)

    async def with_owners(self, chunk_ids: Sequence[str]) -> set[str]:
        """Return those of the chunks whose duplicates are stored."""
        found = _read(self._outcomes, chunk_ids, {"owners": 1})
        return {document["_id"] async for document in found if "owners" in document}

    async def summaries(self, chunk_ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of those of the chunks that have one."""
        return {document["_id"]: _entry(document) async for document in _read(self._outcomes, chunk_ids, _SUMMARY)}

    async def changes(self, chunk_ids: Sequence[str]) -> dict[str, Changes]:
        """Return for those of the chunks that have changed records whose these may be."""
        found = _read(self._outcomes, chunk_ids, {"counts": 1, "closedAt": 1, CHANGED_IDS: 1})
        return {
            document["_id"]: Changes(filter_of(document), document["closedAt"])
            async for document in found
            if Counts.from_document(document["counts"]).changed
        }

    async def outcomes(self, chunk_ids: Sequence[str]) -> dict[str, ChunkOutcome]:
        """Return the whole outcomes of those of the chunks that have one."""
        return {name: entry.outcome for name, entry in (await self.finished(chunk_ids)).items()}

    async def finished(self, chunk_ids: Sequence[str]) -> dict[str, Finished]:
        """Return the whole outcomes of those of the chunks that have one, with the times."""
        found = _read(self._outcomes, chunk_ids, None)
        return {
            document["_id"]: Finished(ChunkOutcome.from_document(document), document["closedAt"])
            async for document in found
        }

    async def expire(self, chunk_ids: Sequence[str], at: datetime) -> None:
        """Let the server remove all that is known of chunks by now, at a time."""
        for ids in _batches(chunk_ids):
            for collection in (self._openings, self._outcomes):
                await collection.update_many({"_id": {"$in": ids}}, {"$set": {"expireAt": at}})

    async def remove(self, chunk_ids: Sequence[str]) -> None:
        """Remove all that is known of chunks; their action is being deleted."""
        for ids in _batches(chunk_ids):
            # The opening first: one without an outcome would look like a chunk that is still to be finished.
            await self._openings.delete_many({"_id": {"$in": ids}})
            await self._outcomes.delete_many({"_id": {"$in": ids}})

    async def _insert(self, document: dict[str, Any]) -> Entry | None:
        """Insert an outcome; return the entry that is there already, if there is one."""
        try:
            await self._outcomes.insert_one(document)
        except DuplicateKeyError:
            return await self.entry(document["_id"])
        return None


def _batches(chunk_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(chunk_ids), _IDS_PER_QUERY):
        yield list(chunk_ids[start : start + _IDS_PER_QUERY])


async def _read(
    collection: Any, chunk_ids: Sequence[str], projection: dict[str, int] | None
) -> AsyncIterator[dict[str, Any]]:
    for ids in _batches(chunk_ids):
        async for document in collection.find({"_id": {"$in": ids}}, projection):
            yield document


def _document(chunk_id: str, outcome: ChunkOutcome, *, dead: bool) -> dict[str, Any]:
    return {"_id": chunk_id, **outcome.to_document(), "dead": dead, "closedAt": datetime.now(UTC)}


def _entry(document: dict[str, Any]) -> Entry:
    return Entry(Counts.from_document(document["counts"]), document["dead"])
