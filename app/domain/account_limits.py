"""How much an account may ask for: the limits of everybody, and those of single accounts (tiers)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.access import check_account

#: The tier of every account that has none of its own; so the account ``default`` cannot have one.
EVERYBODY = "default"

#: 0: there is no such limit.
UNLIMITED = 0

Tiers = Mapping[str, Mapping[str, int]]


class TooManyActive(Exception):
    """An account has as many actions that have not ended as it may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The account may have {limit} actions that have not ended, and has them.")


class TooManyActiveRows(Exception):
    """The actions of an account that have not ended have as many rows as they may have."""

    def __init__(self, limit: int, active: int) -> None:
        super().__init__(
            f"The actions of the account that have not ended may have {limit:,} rows together, and have {active:,}."
        )


class TooManyRows(Exception):
    """An action would have more rows than any may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"An action may have {limit:,} rows.")


class FileAboveRowLimit(Exception):
    """A file alone has more rows than the actions of its account may have together."""

    def __init__(self, limit: int, rows: int) -> None:
        super().__init__(f"The file has {rows:,} rows, and the actions of the account may have {limit:,} together.")


class StorageFull(Exception):
    """The files of an account would have more bytes than they may have."""

    def __init__(self, limit: int, stored: int) -> None:
        super().__init__(f"The files of the account may have {limit} bytes together, and have {stored} already.")


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What an account may do; 0 is no limit."""

    #: Uploads, and all other requests, in one window of time.
    uploads: int = UNLIMITED
    reads: int = UNLIMITED
    #: Actions that have not ended, those that are scheduled included.
    active_actions: int = UNLIMITED
    #: The rows of the actions that have not ended, together.
    active_rows: int = UNLIMITED
    #: The files of all its actions together, bytes.
    stored_bytes: int = UNLIMITED


#: What a limit is called in a tier.
_NAMES: Mapping[str, str] = {
    "uploads": "uploads",
    "reads": "reads",
    "activeActions": "active_actions",
    "activeRows": "active_rows",
    "storedBytes": "stored_bytes",
}

#: Counts of this size are numbers of Redis and of MongoDB.
_LARGEST = 2**53


def parse_tiers(value: object) -> dict[str, dict[str, int]]:
    """Read tiers: a JSON object of account (or ``default``) → limits, or what such an object was read to.

    Raises:
        ValueError: it is not that, in words that fit behind the name of where it came from.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=_without_repetition)
        except RecursionError:
            raise ValueError("is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise ValueError('must be a JSON object such as {"acme": {"uploads": 100}}')
    return {_account(name): _limits(name, limits) for name, limits in value.items()}


def _account(name: object) -> str:
    try:
        return check_account(name)
    except ValueError as error:
        raise ValueError(f"names the account {name!r:.80}, which {error}") from None


def _limits(account: str, limits: object) -> dict[str, int]:
    if not isinstance(limits, Mapping):
        raise ValueError(f"has no object of limits for {account}")
    for name, limit in limits.items():
        if name not in _NAMES:
            raise ValueError(f"has the limit {name!r:.80} for {account}; known are {', '.join(_NAMES)}")
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= _LARGEST:
            raise ValueError(f"must have a whole number from 0 (no limit) on as {name} of {account}")
    return dict(limits)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON takes the last of two; who wrote both meant something else with one of them.
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"has {name!r:.80} twice")
    return dict(pairs)


def limits_of(account_id: str, common: AccountLimits, tiers: Tiers) -> AccountLimits:
    """Return the limits of an account: what its own tier says, else the tier of everybody, else ``common``."""
    for name in (EVERYBODY, account_id):
        common = replace(common, **{_NAMES[limit]: value for limit, value in tiers.get(name, {}).items()})
    return common
