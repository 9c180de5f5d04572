"""Writes that mean the same on every server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import WriteConcern
from pymongo.errors import DuplicateKeyError


def journaled(collection: Any) -> Any:
    """Return the collection, whose writes are answered only when they and all before them are in the journal.

    What else the URI asks of a write, such as ``w``, stays.
    """
    return collection.with_options(write_concern=WriteConcern(**{**collection.write_concern.document, "j": True}))


async def claim_one(
    collection: Any, document_id: str, condition: Mapping[str, Any], changes: Mapping[str, Any]
) -> bool:
    """Change a document if a condition holds that the changes end: of all who try, one does it; tell who.

    The condition is not to be what was read of the document, which not every server reads in the moment in which it
    matched.
    """
    result = await collection.update_one({"_id": document_id, **condition}, {"$set": dict(changes)})
    return bool(result.matched_count)


async def insert_or_replace(collection: Any, document: Mapping[str, Any]) -> None:
    """Store a document in place of the one of the same ``_id``.

    An upsert would not do: not every server makes an upsert by ``_id`` atomic.
    """
    try:
        await collection.insert_one(dict(document))
    except DuplicateKeyError:
        await collection.replace_one({"_id": document["_id"]}, dict(document))
