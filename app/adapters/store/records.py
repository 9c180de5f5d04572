"""Records of the entities: one collection each, ``_id`` = ``accountId:id``, written a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import WriteConcernError

#: A write that another worker's upsert of the same new record has overtaken: writing again updates it.
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a bulk write: which statements made a new record, and which the server refused."""

    created: frozenset[int]
    refused: Mapping[int, str]


class Records:
    """Bulk writes and reads by ``_id``."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def upsert(self, collection: str, statements: Sequence[Mapping[str, Any]]) -> Written:
        """Run update statements (``q``, ``u``, ``upsert``) unordered, in one command.

        Raises:
            pymongo.errors.PyMongoError: the server could not be reached, or its answer is not trustworthy.
        """
        if not statements:
            return Written(frozenset(), {})
        reply = await self._run(collection, statements)
        created = _indexes(reply.get("upserted", ()), len(statements))
        refused = {entry["index"]: entry for entry in reply.get("writeErrors", ())}
        overtaken = [index for index, entry in refused.items() if entry.get("code") == _DUPLICATE_KEY]
        if overtaken:
            again = await self._run(collection, [statements[index] for index in overtaken])
            created |= {overtaken[entry["index"]] for entry in again.get("upserted", ())}
            for index in overtaken:
                del refused[index]
            refused |= {overtaken[entry["index"]]: entry for entry in again.get("writeErrors", ())}
        return Written(
            frozenset(created),
            {index: str(entry.get("errmsg", "refused")) for index, entry in refused.items()},
        )

    async def find(self, collection: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return those of the records that exist, with only the named fields, by ``_id``."""
        if not ids:
            return {}
        cursor = self._database[collection].find({"_id": {"$in": list(ids)}}, dict.fromkeys(fields, 1))
        return {document["_id"]: document async for document in cursor}

    async def _run(self, collection: str, statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        command: dict[str, Any] = {"update": collection, "updates": list(statements), "ordered": False}
        concern = self._database.write_concern
        if not concern.is_server_default:
            # A raw command does not take over what the URI asks for.
            command["writeConcern"] = concern.document
        reply: dict[str, Any] = await self._database.command(command)
        if "writeConcernError" in reply:
            raise WriteConcernError("the write was not confirmed as asked", details=reply["writeConcernError"])
        return reply


def _indexes(upserted: Sequence[Mapping[str, int]], count: int) -> set[int]:
    """Return which of ``count`` statements made a record; that all did needs no look at each."""
    return set(range(count)) if len(upserted) == count else {entry["index"] for entry in upserted}
