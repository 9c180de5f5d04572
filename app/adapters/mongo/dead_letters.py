"""Dead letters: messages that could not be done or read, kept until somebody replays them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.writes import insert_or_replace
from app.domain.dead_letters import Obstacle


class DeadLetters:
    """The collection ``dead_letters``. A chunk has one letter, under its ledger id, however often it dies.

    A letter is DEAD until somebody replays it, then REPLAYED until that is DONE or has failed and it is DEAD again.
    ``lookAt`` says when a replay is looked at.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create what the lists and the clean-up need."""
        await self._collection.create_indexes(
            [
                IndexModel([("accountId", 1), ("at", -1), ("_id", -1)]),
                IndexModel([("actionId", 1), ("at", -1)]),
                IndexModel("lookAt", sparse=True),
            ]
        )
        # Replays that were begun by a version that did not look at them again.
        await self._collection.update_many(
            {"status": "REPLAYED", "lookAt": {"$exists": False}}, {"$set": {"lookAt": datetime.now(UTC)}}
        )

    async def put(self, letter_id: str, letter: Mapping[str, Any]) -> None:
        """Store a letter, in place of the one of the same id, unless that is of the same ``message``.

        So a message that is delivered again changes nothing, also when its letter was replayed in the meantime.
        """
        document = {**letter, "_id": letter_id}
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            standing = await self.get(letter_id)
            message = letter.get("message")
            if standing is None or message is None or standing.get("message") != message:
                await insert_or_replace(self._collection, document)

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

    async def claim_replay(self, letter_id: str, look_at: datetime) -> bool:
        """Mark a dead letter as replayed; False when it is not dead (any more)."""
        claimed = await self._collection.find_one_and_update(
            {"_id": letter_id, "status": "DEAD"},
            {"$set": {"status": "REPLAYED", "replayedAt": datetime.now(UTC), "sends": 0, "lookAt": look_at}},
            return_document=ReturnDocument.BEFORE,
        )
        return claimed is not None

    async def return_replay(self, letter_id: str) -> None:
        """Take a claim back, because the message could not be sent."""
        await self._collection.update_one(
            {"_id": letter_id, "status": "REPLAYED"},
            {"$set": {"status": "DEAD"}, "$unset": {"replayedAt": "", "sends": "", "lookAt": ""}},
        )

    async def take_replays(self, now: datetime, lease: timedelta, limit: int) -> list[dict[str, Any]]:
        """Return letters whose replay is to be looked at, which nobody else is given during the lease."""
        found: list[dict[str, Any]] = await self._collection.find({"lookAt": {"$lte": now}}).limit(limit).to_list(limit)
        return [letter for letter in found if await self._take(letter, now + lease)]

    async def look_at(self, letter_id: str, moment: datetime) -> None:
        """Have a replay looked at, at a time."""
        await self._collection.update_one({"_id": letter_id, "status": "REPLAYED"}, {"$set": {"lookAt": moment}})

    async def note_sent(self, letter_id: str, sends: int, look_at: datetime) -> None:
        """Remember how often the message of a replay was sent, and when to look what became of it."""
        await self._collection.update_one(
            {"_id": letter_id, "status": "REPLAYED"}, {"$set": {"sends": sends, "lookAt": look_at}}
        )

    async def finish(self, letter_id: str) -> None:
        """Note that what a letter is about is done."""
        await self._collection.update_one(
            {"_id": letter_id}, {"$set": {"status": "DONE"}, "$unset": {"sends": "", "lookAt": ""}}
        )

    async def bury_again(self, letter_id: str, reason: str) -> None:
        """Note that a replay has failed, and why."""
        await self._collection.update_one(
            {"_id": letter_id, "status": "REPLAYED"},
            {"$set": {"status": "DEAD", "error": reason}, "$unset": {"replayedAt": "", "sends": "", "lookAt": ""}},
        )

    async def forbid_replay(self, letter_id: str, obstacle: Obstacle) -> None:
        """Note that a letter cannot be replayed, and why."""
        await self._collection.update_one({"_id": letter_id}, {"$set": {"obstacle": obstacle.name}})
        await self.bury_again(letter_id, obstacle)

    async def open_chunks(self, action_id: str) -> list[str]:
        """Return the ids of the letters of an action's chunks that are not done."""
        query = {"actionId": action_id, "kind": "CHUNK", "status": {"$in": ["DEAD", "REPLAYED"]}}
        return [letter["_id"] async for letter in self._collection.find(query, {"_id": 1})]

    async def of_action(self, action_id: str) -> dict[str, str]:
        """Return the status of each letter of an action's chunks."""
        found = self._collection.find({"actionId": action_id, "kind": "CHUNK"}, {"status": 1})
        return {letter["_id"]: letter["status"] async for letter in found}

    async def _take(self, letter: Mapping[str, Any], until: datetime) -> bool:
        result = await self._collection.update_one(
            {"_id": letter["_id"], "lookAt": letter["lookAt"]}, {"$set": {"lookAt": until}}
        )
        return bool(result.modified_count)
