"""Dead letters: messages that could not be done or read, kept until somebody replays them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import DESCENDING, ReturnDocument


class DeadLetters:
    """The collection ``dead_letters``. A chunk has one letter, under its ledger id, however often it dies."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create what the lists need."""
        await self._collection.create_index([("accountId", 1), ("at", -1), ("_id", -1)])
        await self._collection.create_index([("actionId", 1), ("at", -1)])

    async def put(self, letter_id: str, letter: Mapping[str, Any]) -> None:
        """Store a letter, in place of the one of the same id; storing it twice changes nothing."""
        await self._collection.replace_one({"_id": letter_id}, dict(letter), upsert=True)

    async def get(self, letter_id: str) -> dict[str, Any] | None:
        """Return a letter."""
        letter: dict[str, Any] | None = await self._collection.find_one({"_id": letter_id})
        return letter

    async def page(
        self, query: Mapping[str, Any], limit: int, before: tuple[datetime, str] | None = None
    ) -> list[dict[str, Any]]:
        """Return up to ``limit`` letters that match, newest first, older than ``before`` (at, id)."""
        condition = dict(query)
        if before is not None:
            moment, letter_id = before
            condition["$or"] = [{"at": {"$lt": moment}}, {"at": moment, "_id": {"$lt": letter_id}}]
        cursor = self._collection.find(condition).sort([("at", DESCENDING), ("_id", DESCENDING)])
        found: list[dict[str, Any]] = await cursor.limit(limit).to_list(limit)
        return found

    async def claim_replay(self, letter_id: str) -> bool:
        """Mark a dead letter as replayed; False when it is not dead (any more)."""
        claimed = await self._collection.find_one_and_update(
            {"_id": letter_id, "status": "DEAD"},
            {"$set": {"status": "REPLAYED", "replayedAt": datetime.now(UTC)}},
            return_document=ReturnDocument.BEFORE,
        )
        return claimed is not None

    async def return_replay(self, letter_id: str) -> None:
        """Take a claim back, because the message could not be sent."""
        await self._collection.update_one(
            {"_id": letter_id}, {"$set": {"status": "DEAD"}, "$unset": {"replayedAt": ""}}
        )
