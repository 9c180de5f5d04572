"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): the same request, sent twice, is one action."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta

#: How long a key stands for the action that was made with it.
KEY_LIFETIME = timedelta(hours=24)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class KeyReused(Exception):
    """The key stands for an action that was made of another request."""


def check_key(text: str) -> str:
    """Return ``text`` when it can be a key; quotation marks around it are a part of it.

    Raises:
        ValueError: it cannot, in words that fit behind the name of where it came from.
    """
    if not _KEY.fullmatch(text):
        raise ValueError("must be 1 to 255 printable ASCII characters")
    return text


def scoped(account_id: str, key: str) -> str:
    """Return the key as it is stored: an account has no colon, so no two accounts have the same."""
    return f"{account_id}:{key}"


def retry_key(action_id: str) -> str:
    """Return the key that the retry of an action has, and no other action: no client's key begins so."""
    return f":retry:{action_id}"


def lives_for_ever(key: str) -> bool:
    """Tell whether a key is none of a client's: it stands for its action as long as that is there."""
    return key.startswith(":")


def retry_digest(action_id: str, key: str) -> str:
    """Return what tells one request for a retry from another: the action and the client's key."""
    return hashlib.sha256(f"{action_id} {key}".encode()).hexdigest()


def request_digest(form: Mapping[str, str], file_name: str, sha256: str) -> str:
    """Return what tells one upload from another: its form fields, the name of its file and the file's SHA-256."""
    told = json.dumps([sorted(form.items()), file_name, sha256], ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()
