"""API keys: one document each in ``api_keys``, under the key's fingerprint; the key itself is nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from pymongo import DESCENDING, IndexModel

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.queries import older_than
from app.domain.access import Role
from app.domain.api_keys import ApiKey, KeyState, is_key_id


@MONGO.at_border
class ApiKeys:
    """The collection of keys; the way of a request reads it by ``_id`` alone."""

    #: What the list of an account needs.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (IndexModel([("accountId", 1), ("createdAt", -1), ("_id", -1)]),)

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))

    async def add(self, key: ApiKey) -> None:
        """Store a new key.

        Raises:
            app.domain.faults.Conflict: it is there already.
        """
        await self._collection.insert_one(
            {
                "_id": key.fingerprint,
                "accountId": key.account_id,
                "role": key.role,
                "name": key.name,
                "createdAt": key.created_at,
                "createdBy": key.created_by,
                "expiresAt": key.expires_at,
                "revokedAt": key.revoked_at,
                "revokedBy": key.revoked_by,
            }
        )

    async def get(self, fingerprint: str) -> ApiKey | None:
        """Return the key of that fingerprint."""
        document = await self._collection.find_one({"_id": fingerprint})
        return None if document is None else _key(document)

    async def find(self, key_id: str) -> ApiKey | None:
        """Return the key of that id."""
        if not is_key_id(key_id):
            return None
        # An id is the beginning of a fingerprint, whose further digits all come before a "g".
        document = await self._collection.find_one({"_id": {"$gte": key_id, "$lt": f"{key_id}g"}})
        return None if document is None else _key(document)

    async def all(self, account_id: str | None = None) -> list[ApiKey]:
        """Return every key, or every one of an account, oldest first."""
        wanted = {} if account_id is None else {"accountId": account_id}
        return [_key(document) async for document in self._collection.find(wanted).sort("createdAt", 1)]

    async def page(
        self,
        account_id: str,
        limit: int,
        *,
        state: KeyState | None = None,
        before: tuple[datetime, str] | None = None,
    ) -> list[ApiKey]:
        """Return up to ``limit`` keys of an account, newest first, older than ``before`` (createdAt, id)."""
        conditions: list[dict[str, Any]] = [{"accountId": account_id}]
        if state is not None:
            conditions.append(_in_state(state, datetime.now(UTC)))
        if before is not None:
            # No other key has the same id, so it stands for the whole fingerprint.
            conditions.append(older_than("createdAt", *before))
        order = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        return [_key(found) async for found in self._collection.find({"$and": conditions}).sort(order).limit(limit)]

    async def has_active(self, account_id: str, count: int) -> bool:
        """Tell whether an account has at least so many active keys."""
        active = {"accountId": account_id, **_in_state(KeyState.ACTIVE, datetime.now(UTC))}
        return bool(await self._collection.count_documents(active, limit=count) >= count)

    async def revoke(self, fingerprint: str, by: str | None = None) -> bool:
        """Make a key open nothing any more, for somebody; False when it did not before or is unknown."""
        result = await self._collection.update_one(
            {"_id": fingerprint, "revokedAt": None}, {"$set": {"revokedAt": datetime.now(UTC), "revokedBy": by}}
        )
        return bool(result.matched_count)


def _in_state(state: KeyState, now: datetime) -> dict[str, Any]:
    """Match what :meth:`ApiKey.state` says."""
    if state == KeyState.REVOKED:
        return {"revokedAt": {"$ne": None}}
    if state == KeyState.EXPIRED:
        return {"revokedAt": None, "expiresAt": {"$lte": now, "$ne": None}}
    return {"revokedAt": None, "$or": [{"expiresAt": None}, {"expiresAt": {"$gt": now}}]}


def _key(document: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        fingerprint=document["_id"],
        account_id=document["accountId"],
        role=Role(document["role"]),
        name=document["name"],
        created_at=document["createdAt"],
        expires_at=document["expiresAt"],
        revoked_at=document["revokedAt"],
        # Not known before it was noted.
        created_by=document.get("createdBy"),
        revoked_by=document.get("revokedBy"),
    )
