"""The chunks that came over Kafka, in ``stream_chunks``: ``_id`` is ``actionId:number``, written once.

Where messages have no index, ``actionId@partition:offset`` is beside it, with the number that the message there has
got: so one that is delivered again has the same; and ``actionId=number`` says that this number is taken. While their
action is there, all are read and written by ``_id`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import expiry_index
from app.domain.streams import StreamChunk

#: Documents asked for in one ``$in`` query.
_IDS_PER_QUERY = 1000


@MONGO.at_border
class StreamChunks:
    """The chunks of all actions whose rows come over Kafka."""

    #: What removes those of actions that are kept for a time only.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (expiry_index(),)

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))

    async def add(self, action_id: str, chunk: StreamChunk) -> StreamChunk:
        """Store a chunk, or that its number stays vacant; return the one that stands: the first."""
        document = {"_id": _id(action_id, chunk.number), "rows": chunk.rows, "size": chunk.size, "sha256": chunk.sha256}
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return await self.get(action_id, chunk.number) or chunk
        return chunk

    async def get(self, action_id: str, number: int) -> StreamChunk | None:
        """Return a chunk; None when nothing is known of its number."""
        return (await self.some(action_id, [number])).get(number)

    async def some(self, action_id: str, numbers: Iterable[int]) -> dict[int, StreamChunk]:
        """Return those of the chunks of which something is known, by their numbers."""
        names = {_id(action_id, number): number for number in numbers}
        ids, found = list(names), dict[int, StreamChunk]()
        for start in range(0, len(ids), _IDS_PER_QUERY):
            async for document in self._collection.find({"_id": {"$in": ids[start : start + _IDS_PER_QUERY]}}):
                number = names[document["_id"]]
                found[number] = StreamChunk(number, document["rows"], document["size"], document["sha256"])
        return found

    async def number_at(self, action_id: str, partition: int, offset: int) -> int | None:
        """Return the number of the chunk that a message without an index has got; None: it has none yet."""
        document = await self._collection.find_one({"_id": _at(action_id, partition, offset)})
        return None if document is None else int(document["number"])

    async def claim_number(self, action_id: str, number: int) -> bool:
        """Take a number for the chunk of a message without an index; tell whether nobody has taken it before."""
        try:
            await self._collection.insert_one({"_id": f"{action_id}={number}"})
        except DuplicateKeyError:
            return False
        return True

    async def number(self, action_id: str, partition: int, offset: int, number: int) -> int:
        """Give a number to the chunk of a message without an index; return the one that it has: the first."""
        try:
            await self._collection.insert_one({"_id": _at(action_id, partition, offset), "number": number})
        except DuplicateKeyError:
            standing = await self.number_at(action_id, partition, offset)
            return number if standing is None else standing
        return number

    async def expire(self, action_id: str, at: datetime) -> None:
        """Let the server remove all that is known of the chunks of an action by now, at a time."""
        await self._collection.update_many(_all(action_id), {"$set": {"expireAt": at}})

    async def remove_all(self, action_id: str) -> None:
        """Remove all that is known of the chunks of an action, which is being deleted."""
        await self._collection.delete_many(_all(action_id))


def _all(action_id: str) -> dict[str, Any]:
    """Match all names that begin with the id of an action: what follows that in them is a colon or an at-sign."""
    return {"_id": {"$gte": f"{action_id}:", "$lt": f"{action_id}A"}}


def _id(action_id: str, number: int) -> str:
    return f"{action_id}:{number}"


def _at(action_id: str, partition: int, offset: int) -> str:
    return f"{action_id}@{partition}:{offset}"
