"""The keys under which an upload is stored: below the id of its action, its file and the index of its spans.

A retry has beside them which rows of its original its rows are.
"""

from __future__ import annotations

import re

_UPLOAD_KEY = re.compile(r"[0-9a-f]{24}/(upload\.csv|spans|rows)")


def file_key(action_id: str) -> str:
    """Return the key of an action's file."""
    return f"{action_id}/upload.csv"


def spans_key(action_id: str) -> str:
    """Return the key of the index of its spans."""
    return f"{action_id}/spans"


def rows_key(action_id: str) -> str:
    """Return the key of the numbers that its rows have in the file of the action that it retries."""
    return f"{action_id}/rows"


def keys_of(action_id: str) -> tuple[str, ...]:
    """Return all keys that an action may have."""
    return file_key(action_id), spans_key(action_id), rows_key(action_id)


def is_upload_key(key: str) -> bool:
    """Tell whether a key is one of these, of any action."""
    return _UPLOAD_KEY.fullmatch(key) is not None
