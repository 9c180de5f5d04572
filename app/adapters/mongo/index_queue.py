"""Which actions the index of events may not have as a whole, and what it has of them.

Nothing tells the indexer that there is something to do, and so nothing can be lost or wait in an agent: an action that
may not be indexed has an ``indexAt``, since when that is so. It is set by the same writes that change anything of the
action, which also count its ``indexVersion``; only who has indexed all of it takes it away, if no such write has come
between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, ReturnDocument

from app.adapters.mongo.faults import MONGO
from app.domain.actions import Action
from app.domain.indexing import Indexed

#: Stands for the events of the action itself among chunks that are to be indexed again.
_ITSELF = -1
#: Most actions that are counted as waiting: beyond that it does not matter how many there are.
_MOST_COUNTED = 10_000


def to_be_indexed(now: datetime) -> dict[str, Any]:
    """Return the part of an update that says that something of the action may not be in the index."""
    return {"$min": {"indexAt": now}, "$inc": {"indexVersion": 1}}


@dataclass(frozen=True, slots=True)
class ClaimedAction:
    """An action that one caller indexes.

    Attributes:
        action: The action, as a whole.
        indexed: What of it is in the index.
        version: How often it had been changed.
        owner: Whose it is.
        at: When it was claimed.
    """

    action: Action
    indexed: Indexed
    version: int
    owner: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be indexed.

    Attributes:
        actions: How many actions, counted up to 10,000.
        since: Since when the first of them waits; None: none waits.
    """

    actions: int
    since: datetime | None


@MONGO.at_border
class IndexQueue:
    """The fields of actions that say what of them is in the index."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Return actions that are to be indexed and that nobody has in hand, those first that have waited longest."""
        found = self._collection.find(_due(now), {"_id": 1}).sort([("indexAt", ASCENDING)]).limit(limit)
        return [document["_id"] async for document in found]

    async def claim(self, action_id: str, now: datetime, lease: timedelta) -> ClaimedAction | None:
        """Take an action that is to be indexed, which nobody else is given during the lease; None: somebody has it."""
        owner = uuid4().hex
        document = await self._collection.find_one_and_update(
            {"_id": action_id, **_due(now)},
            {"$set": {"indexLease": now + lease, "indexOwner": owner}},
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return None
        indexed = Indexed.from_document(document.get("indexed"))
        for index in document.get("indexAgain", ()):
            indexed = indexed.with_told(action_id, ()) if index == _ITSELF else indexed.without_chunk(index)
        return ClaimedAction(Action.from_document(document), indexed, document.get("indexVersion", 0), owner, now)

    async def save(self, claimed: ClaimedAction, indexed: Indexed, now: datetime, lease: timedelta) -> bool:
        """Note what is indexed by now, and begin the lease anew; False when somebody else has the action."""
        changes = {"indexed": indexed.to_document(), "indexLease": now + lease}
        saved = await self._collection.update_one(_of(claimed), {"$set": changes})
        return bool(saved.matched_count)

    async def finish(self, claimed: ClaimedAction, indexed: Indexed) -> None:
        """Note that all of an action is indexed, unless anything of it has changed since it was claimed."""
        state = {"indexed": indexed.to_document()}
        done = {"indexAt": "", "indexLease": "", "indexOwner": "", "indexAgain": ""}
        finished = await self._collection.update_one(
            {**_of(claimed), "indexVersion": claimed.version}, {"$set": state, "$unset": done}
        )
        if not finished.matched_count:
            # What waits now has come since.
            await self.release(claimed, indexed, since=claimed.at)

    async def release(self, claimed: ClaimedAction, indexed: Indexed, *, since: datetime | None = None) -> None:
        """Let anybody go on with an action; ``since``: since when what is left of it waits (None: as before)."""
        changes: dict[str, Any] = {"indexed": indexed.to_document()}
        if since is not None:
            changes["indexAt"] = since
        await self._collection.update_one(
            _of(claimed), {"$set": changes, "$unset": {"indexLease": "", "indexOwner": ""}}
        )

    async def index_again(self, action_id: str, chunk: int | None, now: datetime) -> None:
        """Ask for the events of a chunk, or of the action itself (None), to be indexed again."""
        again = {"$push": {"indexAgain": _ITSELF if chunk is None else chunk}, **to_be_indexed(now)}
        await self._collection.update_one({"_id": action_id}, again)

    async def add_unknown(self, now: datetime) -> int:
        """Ask for the actions that were made before there was an index to be indexed; return how many they are."""
        unknown = {"indexAt": {"$exists": False}, "indexed": {"$exists": False}, "deletingAt": None}
        added = await self._collection.update_many(unknown, to_be_indexed(now))
        return int(added.modified_count)

    async def forget(self, now: datetime) -> int:
        """Ask for every action to be indexed as if nothing of it were; return how many they are.

        Whoever indexes one of them now does not own it any more.
        """
        nothing = {"$unset": {"indexed": "", "indexLease": "", "indexOwner": ""}, **to_be_indexed(now)}
        forgotten = await self._collection.update_many({"deletingAt": None}, nothing)
        return int(forgotten.modified_count)

    async def backlog(self) -> Backlog:
        """Return how much waits, and since when."""
        waiting = {"indexAt": {"$exists": True}, "deletingAt": None}
        count = await self._collection.count_documents(waiting, limit=_MOST_COUNTED)
        first = await self._collection.find(waiting, {"indexAt": 1}).sort([("indexAt", ASCENDING)]).limit(1).to_list(1)
        return Backlog(count, first[0]["indexAt"] if first else None)


def _due(now: datetime) -> dict[str, Any]:
    free = [{"indexLease": None}, {"indexLease": {"$lte": now}}]
    return {"indexAt": {"$lte": now}, "deletingAt": None, "$or": free}


def _of(claimed: ClaimedAction) -> dict[str, Any]:
    return {"_id": claimed.action.id, "indexOwner": claimed.owner}
