"""Conditions of queries, and indexes, that several collections share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import IndexModel


def older_than(field: str, timestamp: datetime, document_id: str) -> dict[str, Any]:
    """Match what stands behind a document in a list that is sorted by ``field`` and id, both descending."""
    return {"$or": [{field: {"$lt": timestamp}}, {field: timestamp, "_id": {"$lt": document_id}}]}


def expiry_index() -> IndexModel:
    """Return the index by which the server removes documents at the time in their ``expireAt``, if they have one."""
    return IndexModel("expireAt", expireAfterSeconds=0, sparse=True)
