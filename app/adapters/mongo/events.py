"""Events that no other document has: one document for all of a kind in a minute, with their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from pymongo import DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import expiry_index, older_than
from app.domain.account_events import counted_until
from app.domain.events import Event


@MONGO.at_border
class Events:
    """The collection ``events``; ``indexAt`` says from when on an event is to be indexed."""

    #: What lists, the indexer and the erasure of an action need.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (
        IndexModel([("accountId", 1), ("@timestamp", -1), ("_id", -1)]),
        IndexModel("actionId", sparse=True),
        IndexModel("indexAt", sparse=True),
        expiry_index(),
    )

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))

    async def add(self, event: Event, expire_at: datetime | None) -> None:
        """Store an event, or add its count to the one of the same id. Somebody who dies over it may lose it."""
        index_at = counted_until(event)
        document = {name: value for name, value in event.to_document().items() if name != "id"}
        document |= {"_id": event.id, "indexAt": index_at}
        if expire_at is not None:
            document["expireAt"] = expire_at
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            more = {"$inc": {"count": event.count or 1}, "$max": {"indexAt": index_at}}
            await self._collection.update_one({"_id": event.id}, more)

    async def page(
        self, account_id: str, limit: int, *, action_id: str | None = None, before: tuple[datetime, str] | None = None
    ) -> list[Event]:
        """Return up to ``limit`` events of an account, newest first, older than ``before`` (at, id)."""
        wanted: dict[str, Any] = {"accountId": account_id}
        if action_id is not None:
            wanted["actionId"] = action_id
        if before is not None:
            wanted |= older_than("@timestamp", *before)
        order = [("@timestamp", DESCENDING), ("_id", DESCENDING)]
        return [_event(found) async for found in self._collection.find(wanted).sort(order).limit(limit)]

    async def due(self, now: datetime, limit: int) -> list[Event]:
        """Return events that are to be indexed, in no order."""
        return [_event(found) async for found in self._collection.find({"indexAt": {"$lte": now}}).limit(limit)]

    async def mark_indexed(self, events: Sequence[Event]) -> None:
        """Note that the index has these, unless more of them were counted meanwhile."""
        for event in events:
            await self._collection.update_one({"_id": event.id, "count": event.count}, {"$unset": {"indexAt": ""}})

    async def index_again(self, now: datetime, ids: Sequence[str] | None = None) -> None:
        """Ask for events to be indexed again: for these, or for every one (None)."""
        wanted = {} if ids is None else {"_id": {"$in": list(ids)}}
        await self._collection.update_many(wanted, {"$set": {"indexAt": now}})

    async def expire(self, action_id: str, at: datetime) -> None:
        """Let the server remove what is about an action by then at the latest."""
        await self._collection.update_many({"actionId": action_id}, {"$min": {"expireAt": at}})

    async def remove_all(self, action_id: str) -> None:
        """Remove what is about an action."""
        await self._collection.delete_many({"actionId": action_id})

    async def forget(self, now: datetime) -> None:
        """Remove what has expired, where the server does not."""
        await self._collection.delete_many({"expireAt": {"$lte": now}})


def _event(document: Mapping[str, Any]) -> Event:
    return Event.from_document({"id": document["_id"], **document})
