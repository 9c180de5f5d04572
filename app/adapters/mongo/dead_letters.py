"""Dead letters: messages that could not be done or read, kept until somebody replays them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pymongo import DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import expiry_index, older_than
from app.adapters.mongo.writes import claim_one, insert_or_replace
from app.domain.dead_letters import DeadLetter, Kind, Obstacle, State
from app.observability.metrics import DEAD_LETTERS

#: Takes away what is known of a replay.
_REPLAY = {"replayedAt": "", "replayedBy": "", "sends": "", "lookAt": ""}


@MONGO.at_border
class DeadLetters:
    """The collection ``dead_letters``; ``lookAt`` says when a replay is reviewed."""

    #: What the lists and the clean-up need.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (
        IndexModel([("accountId", 1), ("at", -1), ("_id", -1)]),
        IndexModel([("actionId", 1), ("at", -1)]),
        IndexModel("lookAt", sparse=True),
        expiry_index(),
    )

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))
        # Replays that were begun by a version that did not look at them again.
        await self._collection.update_many(
            {"status": State.REPLAYED, "lookAt": {"$exists": False}}, {"$set": {"lookAt": datetime.now(UTC)}}
        )

    async def put(self, letter: DeadLetter) -> None:
        """Store a letter, in place of the one of the same id, unless that is of the same ``message``.

        So a message that is delivered again changes nothing, also when its letter was replayed in the meantime.
        """
        document = letter.to_document()
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            standing = await self.get(letter.id)
            if standing is not None and letter.message is not None and standing.message == letter.message:
                return
            await insert_or_replace(self._collection, document)
        DEAD_LETTERS.labels(letter.kind).inc()

    async def put_of_nobody(self, letter: DeadLetter, most: int) -> bool:
        """Store a letter of no account as :meth:`put`, unless there are so many of them; tell whether it is stored."""
        if await self._collection.count_documents({"accountId": None}, limit=most) >= most:
            return False
        await self.put(letter)
        return True

    async def get(self, letter_id: str) -> DeadLetter | None:
        """Return a letter."""
        document = await self._collection.find_one({"_id": letter_id})
        return None if document is None else DeadLetter.from_document(document)

    async def page(
        self,
        account_ids: Sequence[str | None],
        limit: int,
        *,
        action_id: str | None = None,
        status: str | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> list[DeadLetter]:
        """Return up to ``limit`` letters of accounts (None: nobody's), newest first, older than ``before`` (at, id)."""
        condition: dict[str, Any] = {"accountId": {"$in": list(account_ids)}}
        if action_id is not None:
            condition["actionId"] = action_id
        if status is not None:
            condition["status"] = status
        if before is not None:
            condition |= older_than("at", *before)
        found = self._collection.find(condition).sort([("at", DESCENDING), ("_id", DESCENDING)]).limit(limit)
        return [DeadLetter.from_document(document) async for document in found]

    async def claim_replay(self, letter_id: str, review_at: datetime, by: str | None = None) -> bool:
        """Mark a dead letter as replayed, by somebody; False when it is not dead (any more)."""
        asked = {"replayedAt": datetime.now(UTC), "replayedBy": by}
        claimed = await self._collection.find_one_and_update(
            {"_id": letter_id, "status": State.DEAD},
            {"$set": {"status": State.REPLAYED, **asked, "sends": 0, "lookAt": review_at}},
            return_document=ReturnDocument.BEFORE,
        )
        return claimed is not None

    async def return_replay(self, letter_id: str) -> None:
        """Take a claim back, because the message could not be sent."""
        await self._collection.update_one(
            {"_id": letter_id, "status": State.REPLAYED},
            {"$set": {"status": State.DEAD}, "$unset": _REPLAY},
        )

    async def claim_due_replays(self, now: datetime, lease: timedelta, limit: int) -> list[DeadLetter]:
        """Return letters whose replay is to be reviewed, which nobody else is given during the lease."""
        due = {"lookAt": {"$lte": now}}
        found = [DeadLetter.from_document(document) async for document in self._collection.find(due).limit(limit)]
        later = {"lookAt": now + lease}
        return [letter for letter in found if await claim_one(self._collection, letter.id, due, later)]

    async def review_replay_at(self, letter_id: str, timestamp: datetime) -> None:
        """Have a replay reviewed at a time."""
        await self._collection.update_one({"_id": letter_id, "status": State.REPLAYED}, {"$set": {"lookAt": timestamp}})

    async def record_send(self, letter_id: str, sends: int, review_at: datetime) -> None:
        """Remember how often the message of a replay was sent, and when to review what became of it."""
        await self._collection.update_one(
            {"_id": letter_id, "status": State.REPLAYED}, {"$set": {"sends": sends, "lookAt": review_at}}
        )

    async def mark_done(self, letter_id: str) -> None:
        """Note that what a letter is about is done."""
        await self._collection.update_one(
            {"_id": letter_id}, {"$set": {"status": State.DONE}, "$unset": {"sends": "", "lookAt": ""}}
        )

    async def fail_replay(self, letter_id: str, reason: str) -> None:
        """Note that a replay has failed, and why."""
        await self._collection.update_one(
            {"_id": letter_id, "status": State.REPLAYED},
            {"$set": {"status": State.DEAD, "error": reason}, "$unset": _REPLAY},
        )

    async def forbid_replay(self, letter_id: str, obstacle: Obstacle) -> None:
        """Note that a letter cannot be replayed, and why."""
        await self._collection.update_one({"_id": letter_id}, {"$set": {"obstacle": obstacle.name}})
        await self.fail_replay(letter_id, obstacle)

    async def open_chunks(self, action_id: str) -> list[str]:
        """Return the ids of the letters of an action's chunks that are not done."""
        query = {"actionId": action_id, "kind": Kind.CHUNK, "status": {"$in": [State.DEAD, State.REPLAYED]}}
        return [letter["_id"] async for letter in self._collection.find(query, {"_id": 1})]

    async def expire(self, action_id: str, at: datetime) -> None:
        """Let the server remove every letter about an action that there is by now, at a time."""
        await self._collection.update_many({"actionId": action_id}, {"$set": {"expireAt": at}})

    async def remove_all(self, action_id: str) -> None:
        """Remove every letter about an action."""
        await self._collection.delete_many({"actionId": action_id})

    async def chunk_states(self, action_id: str) -> dict[str, State]:
        """Return the state of each letter of an action's chunks."""
        found = self._collection.find({"actionId": action_id, "kind": Kind.CHUNK}, {"status": 1})
        return {letter["_id"]: State(letter["status"]) async for letter in found}
