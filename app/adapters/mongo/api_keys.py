"""API keys: one document each in ``api_keys``, under the key's fingerprint; the key itself is nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.adapters.mongo.faults import MONGO
from app.domain.access import Role
from app.domain.api_keys import ApiKey


@MONGO.at_border
class ApiKeys:
    """The collection of keys; the way of a request reads it by ``_id`` alone."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

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
                "expiresAt": key.expires_at,
                "revokedAt": key.revoked_at,
            }
        )

    async def get(self, fingerprint: str) -> ApiKey | None:
        """Return the key of that fingerprint."""
        document = await self._collection.find_one({"_id": fingerprint})
        return None if document is None else _key(document)

    async def all(self) -> list[ApiKey]:
        """Return every key, oldest first."""
        return [_key(document) async for document in self._collection.find().sort("createdAt", 1)]

    async def revoke(self, fingerprint: str) -> bool:
        """Make a key open nothing any more; False when it did not before or is unknown."""
        result = await self._collection.update_one(
            {"_id": fingerprint, "revokedAt": None}, {"$set": {"revokedAt": datetime.now(UTC)}}
        )
        return bool(result.matched_count)


def _key(document: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        fingerprint=document["_id"],
        account_id=document["accountId"],
        role=Role(document["role"]),
        name=document["name"],
        created_at=document["createdAt"],
        expires_at=document["expiresAt"],
        revoked_at=document["revokedAt"],
    )
