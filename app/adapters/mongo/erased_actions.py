"""Actions that were deleted, by their ids, for as long as messages about them may come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import expiry_index
from app.adapters.mongo.writes import claim_one
from app.domain.erasure import ErasedAction


@MONGO.at_border
class ErasedActions:
    """The collection ``erased_actions``; ``sweepAt`` says when what came too late is taken away as well."""

    #: What the clean-up needs.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (IndexModel("sweepAt", sparse=True), expiry_index())

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))

    async def add(self, erased: ErasedAction, sweep_at: datetime, expire_at: datetime) -> None:
        """Remember an action until a time; nothing is changed where it is remembered already."""
        document = {
            "_id": erased.id,
            "accountId": erased.account_id,
            "chunkCount": erased.chunk_count,
            "sweepAt": sweep_at,
            "expireAt": expire_at,
        }
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return

    async def knows(self, action_id: str, account_id: str | None = None) -> bool:
        """Tell whether an action was deleted; when ``account_id`` is given, only if it belonged to that account."""
        document = await self._collection.find_one({"_id": action_id}, {"accountId": 1})
        return document is not None and account_id in (None, document["accountId"])

    async def claim_due_sweeps(self, now: datetime, lease: timedelta, limit: int) -> list[ErasedAction]:
        """Return actions that are to be swept, which nobody else is given during the lease."""
        due = {"sweepAt": {"$lte": now}}
        found = [_erased(document) async for document in self._collection.find(due).limit(limit)]
        later = {"sweepAt": now + lease}
        return [erased for erased in found if await claim_one(self._collection, erased.id, due, later)]

    async def finish_sweep(self, action_id: str) -> None:
        """Note that nothing is left of an action."""
        await self._collection.update_one({"_id": action_id}, {"$unset": {"sweepAt": ""}})

    async def forget(self, now: datetime) -> None:
        """Forget those that need not be remembered any more: not every server does so by itself."""
        await self._collection.delete_many({"expireAt": {"$lte": now}, "sweepAt": None})


def _erased(document: dict[str, Any]) -> ErasedAction:
    return ErasedAction(document["_id"], document["accountId"], document["chunkCount"])
