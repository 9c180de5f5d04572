"""The keys under which rows are stored: below the id of their action, its file and the index of its spans.

A retry has beside them which rows of its original its rows are. Of an action whose rows come over Kafka each chunk is
an object: its key says what is in it, so that no content ever takes the place of another.
"""

from __future__ import annotations

import re

_UPLOAD_KEY = re.compile(r"[0-9a-f]{24}/(upload\.csv|spans|rows|chunks/[0-9]{1,6}-[0-9a-f]{32})")


def file_key(action_id: str) -> str:
    """Return the key of an action's file."""
    return f"{action_id}/upload.csv"


def spans_key(action_id: str) -> str:
    """Return the key of the index of its spans."""
    return f"{action_id}/spans"


def rows_key(action_id: str) -> str:
    """Return the key of the numbers that its rows have in the file of the action that it retries."""
    return f"{action_id}/rows"


def chunk_key(action_id: str, number: int, sha256: str) -> str:
    """Return the key of a chunk that came over Kafka, with a content of this digest."""
    return f"{action_id}/chunks/{number}-{sha256[:32]}"


def keys_of(action_id: str) -> tuple[str, ...]:
    """Return all keys that an action may have, beside those of its chunks."""
    return file_key(action_id), spans_key(action_id), rows_key(action_id)


def is_upload_key(key: str) -> bool:
    """Tell whether a key is one of these, of any action."""
    return _UPLOAD_KEY.fullmatch(key) is not None
