"""The keys under which an upload is stored: below the id of its action, its file and the index of its spans."""

from __future__ import annotations

import re

_UPLOAD_KEY = re.compile(r"[0-9a-f]{24}/(upload\.csv|spans)")


def file_key(action_id: str) -> str:
    """Return the key of an action's file."""
    return f"{action_id}/upload.csv"


def spans_key(action_id: str) -> str:
    """Return the key of the index of its spans."""
    return f"{action_id}/spans"


def is_upload_key(key: str) -> bool:
    """Tell whether a key is one of these, of any action."""
    return _UPLOAD_KEY.fullmatch(key) is not None
