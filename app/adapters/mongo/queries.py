"""Conditions of queries that several collections share."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def older_than(field: str, timestamp: datetime, document_id: str) -> dict[str, Any]:
    """Match what stands behind a document in a list that is sorted by ``field`` and id, both descending."""
    return {"$or": [{field: {"$lt": timestamp}}, {field: timestamp, "_id": {"$lt": document_id}}]}
