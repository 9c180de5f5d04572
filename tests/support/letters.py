"""Dead letters that no worker has stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pymongo

from tests.support.factories import dead_letter_document


def put_letter(environment: Mapping[str, str], **changes: Any) -> str:
    """Store one of a chunk of the worker with these settings, past it; the id."""
    letter = dead_letter_document(
        **{
            "_id": f"letter-{uuid.uuid4().hex}",
            "origin": {"topic": environment["KAFKA_TOPIC"], "partition": 0, "offset": 1},
            "complete": True,
            "at": datetime.now(UTC),
            **changes,
        }
    )
    with pymongo.MongoClient[dict[str, Any]](environment["MONGO_DB_URI"]) as client:
        client.get_default_database()["dead_letters"].insert_one(letter)
    return str(letter["_id"])
