"""What is left of an action that was deleted, wherever the platform keeps anything."""

from __future__ import annotations

from typing import Any

import pymongo
import redis

from app.domain.entities import ENTITIES

#: What is to be remembered of it, for a time; and what its records say stays with them.
_STAYS = {"erased_actions", *(entity.collection for entity in ENTITIES.values())}


def leftovers(mongo_uri: str, redis_uri: str, action_id: str) -> set[str]:
    """Where documents and keys of an action are; no more than that its claims are closed stays in Redis."""
    found: set[str] = set()
    with pymongo.MongoClient[dict[str, Any]](mongo_uri) as client:
        database = client.get_default_database()
        for name in set(database.list_collection_names()) - _STAYS:
            found |= {name for document in database[name].find() if action_id in str(document)}
    with redis.Redis.from_url(redis_uri) as keys:
        for key in keys.scan_iter(f"*{action_id}*"):
            if not (key == f"dedupe:{action_id}".encode() and str(keys.get(key)).startswith("b'RELEASED")):
                found.add(key.decode())
    return found
