"""Which storage belongs to this database: one document, of which the first stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.writes import insert_or_replace
from app.adapters.storage.identity import StorageIdentity

_ID = "storage"
#: Files asked for to tell whether a storage has those of the database: some, in case one was lost.
_KNOWN_KEYS = 3


@MONGO.at_border
class StorageRegister:
    """The document ``storage`` of the collection ``installation``; see
    :class:`~app.adapters.storage.identity.IdentityRegister`."""

    def __init__(self, collection: Any, actions: Any) -> None:
        self._collection = collection
        self._actions = actions

    async def recorded(self) -> StorageIdentity | None:
        """Return what is recorded."""
        document = await self._collection.find_one({"_id": _ID})
        return None if document is None else StorageIdentity(document["storageId"], document["marked"])

    async def propose(self, storage_id: str) -> StorageIdentity:
        """Record an id unless there is one; return the one that stands."""
        try:
            await self._collection.insert_one({"_id": _ID, "storageId": storage_id, "marked": False})
        except DuplicateKeyError:
            if (standing := await self.recorded()) is not None:
                return standing
            raise
        return StorageIdentity(storage_id, marked=False)

    async def confirm(self, storage_id: str) -> None:
        """Record that the marker of this id has been written."""
        await self._collection.update_one({"_id": _ID, "storageId": storage_id}, {"$set": {"marked": True}})

    async def replace(self, storage_id: str) -> None:
        """Record another id, whose marker has been written."""
        await insert_or_replace(self._collection, {"_id": _ID, "storageId": storage_id, "marked": True})

    async def known_keys(self) -> Sequence[str]:
        """Return the keys of the files of the newest actions; one that is being deleted may have lost its file."""
        with_file = {"deletingAt": None, "stream": None}
        newest = self._actions.find(with_file, {"storageKey": 1}).sort("_id", -1).limit(_KNOWN_KEYS)
        return [action["storageKey"] async for action in newest]

    async def knows_any(self, keys: Sequence[str]) -> bool:
        """Tell whether an object of one of these keys belongs to an action."""
        owners = sorted({key.partition("/")[0] for key in keys})
        return await self._actions.find_one({"_id": {"$in": owners}}, {"_id": 1}) is not None
