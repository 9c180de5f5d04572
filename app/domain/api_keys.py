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
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")

#: Longest name of a key, characters.
MAX_NAME = 100
#: So much of what is not an expiry is quoted, characters.
_MOST_QUOTED = 60

_EXPIRIES = "must be 90d, 12h or a moment such as 2030-01-31T09:00:00Z"
_DURATION = re.compile(r"([0-9]{1,6})([hd])")


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; the key itself is not.

    Who has made and revoked it is not known of keys of older versions.
    """

    fingerprint: str
    account_id: str
    role: Role
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    created_by: str | None = None
    revoked_by: str | None = None

    @property
    def id(self) -> str:
        """The short name of the key."""
        return self.fingerprint[:ID_LENGTH]

    @property
    def principal(self) -> Principal:
        """On whose behalf the holder of the key acts."""
        return Principal(self.account_id, self.role, f"key {self.id}", key_id=self.id)

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


def is_key_id(text: str) -> bool:
    """Tell whether ``text`` has the form of the id of a key."""
    return _ID.fullmatch(text) is not None


def check_key_name(name: object) -> str:
    """Return the name of a key: text that can be printed, of at most 100 characters.

    Raises:
        ValueError: it is not.
    """
    if not (isinstance(name, str) and len(name) <= MAX_NAME and name.isprintable()):
        raise ValueError(f"must be printable text of at most {MAX_NAME} characters")
    return name


def fit_key_name(name: str) -> str:
    """Return of a name what can be one."""
    return "".join(character for character in name if character.isprintable())[:MAX_NAME]


def fingerprint(key: str) -> str:
    """Return what a key is stored and found under.

    One round of SHA-256 is right here. Slow, salted hashes protect secrets that people choose, which can be guessed;
    256 random bits cannot be, at whatever speed, and a slow hash would let anybody keep the worker busy with wrong
    keys. Looking for the hash also gives nothing away by its timing: who does not know the key cannot choose how far
    its hash agrees with a stored one.
    """
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def parse_expiry(text: object, now: datetime) -> datetime:
    """Read when a key expires: ``90d``, ``12h``, or an ISO 8601 moment (UTC when it names no offset).

    Raises:
        ValueError: it is none of these, or not in the future.
    """
    if not isinstance(text, str):
        raise ValueError(f"{_EXPIRIES}, and is no text")
    quoted = repr(text[:_MOST_QUOTED])
    try:
        if match := _DURATION.fullmatch(text):
            count = int(match[1])
            expiry = now + (timedelta(days=count) if match[2] == "d" else timedelta(hours=count))
        else:
            moment = datetime.fromisoformat(text)
            expiry = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{_EXPIRIES}, not {quoted}") from None
    if expiry <= now:
        raise ValueError(f"must be in the future, and {quoted} is not")
    return expiry
