"""API keys: how they are made, how they are recognised, and when they are valid."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from app.domain.access import Principal, Role, Unauthenticated

#: The prefix lets scanners of source code and logs recognise a key that should not be there.
_PREFIX = "bulk_"
_SECRET_BYTES = 32
_KEY = re.compile(_PREFIX + r"[A-Za-z0-9_-]{43}")

#: So much of a fingerprint names its key in lists and commands; it opens nothing.
ID_LENGTH = 16

_DURATION = re.compile(r"([0-9]{1,6})([hd])")


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; the key itself is not."""

    fingerprint: str
    account_id: str
    role: Role
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def id(self) -> str:
        """The short name of the key."""
        return self.fingerprint[:ID_LENGTH]

    @property
    def principal(self) -> Principal:
        """On whose behalf the holder of the key acts."""
        return Principal(self.account_id, self.role, f"key {self.id}")

    def state(self, now: datetime) -> KeyState:
        """Tell whether the key opens anything at ``now``; it expires with the moment, not after it."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE


class InactiveKey(Unauthenticated):
    """There is a key, and it opens nothing any more; the message does not say so."""

    def __init__(self, message: str, key: ApiKey, state: KeyState) -> None:
        super().__init__(message)
        self.key, self.state = key, state


def new_key() -> str:
    """Make a key of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def is_key(text: str) -> bool:
    """Tell whether ``text`` has the form of a key: what has not need not be looked for."""
    return _KEY.fullmatch(text) is not None


def fingerprint(key: str) -> str:
    """Return what a key is stored and found under.

    One round of SHA-256 is right here. Slow, salted hashes protect secrets that people choose, which can be guessed;
    256 random bits cannot be, at whatever speed, and a slow hash would let anybody keep the worker busy with wrong
    keys. Looking for the hash also gives nothing away by its timing: who does not know the key cannot choose how far
    its hash agrees with a stored one.
    """
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def parse_expiry(text: str, now: datetime) -> datetime:
    """Read when a key expires: ``90d``, ``12h``, or an ISO 8601 moment (UTC when it names no offset).

    Raises:
        ValueError: it is none of these, or not in the future.
    """
    try:
        if match := _DURATION.fullmatch(text):
            count = int(match[1])
            expiry = now + (timedelta(days=count) if match[2] == "d" else timedelta(hours=count))
        else:
            moment = datetime.fromisoformat(text)
            expiry = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"must be 90d, 12h or a moment such as 2030-01-31T09:00:00Z, not {text!r}") from None
    if expiry <= now:
        raise ValueError(f"must be in the future, and {text} is not")
    return expiry
