"""Deletions of records by actions that are gone themselves: that there were some, by account and entity.

A deletion leaves nothing behind, and is told by its action alone. Once that is gone too, a record that is missing may
have been deleted by it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO


@MONGO.at_border
class ErasedDeletions:
    """The collection ``erased_deletions``: one document for each account and entity that has any."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def note(self, account_id: str, entity_type: str, until: datetime, gone_from: datetime) -> None:
        """Note that records may have been deleted until a time by an action that is gone from another time on."""
        document_id = _id(account_id, entity_type)
        try:
            await self._collection.insert_one({"_id": document_id, "until": until, "goneFrom": gone_from})
        except DuplicateKeyError:
            wider = {"$max": {"until": until}, "$min": {"goneFrom": gone_from}}
            await self._collection.update_one({"_id": document_id}, wider)

    async def until(self, account_id: str, entity_type: str, now: datetime) -> datetime | None:
        """Return until when records may have been deleted by actions that are gone by now; None: there were none."""
        document = await self._collection.find_one({"_id": _id(account_id, entity_type)})
        if document is None or document["goneFrom"] > now:
            return None
        until: datetime = document["until"]
        return until


def _id(account_id: str, entity_type: str) -> str:
    """An account has no colon."""
    return f"{account_id}:{entity_type}"
