"""Who may do what: roles, accounts, and the principal on whose behalf a request is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: Whose actions a request sees that names no account, where no credential is needed.
DEFAULT_ACCOUNT = "default"

# No colon: records are stored under ``accountId:id``, and "a" with "b:c" must not be "a:b" with "c".
_ACCOUNT = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Role(StrEnum):
    """What a principal may do; each role includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Tell whether this role is enough where ``needed`` is."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


class Unauthenticated(Exception):
    """There is no valid credential; the message says to its holder why."""


class MissingCredential(Unauthenticated):
    """There is no credential at all."""


class InvalidToken(Unauthenticated):
    """There is a bearer token, and it is not valid."""


class KeysUnavailable(Exception):
    """Whether a bearer token is valid cannot be said: the keys of the identity provider cannot be had now."""


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request is made."""

    account_id: str
    role: Role
    #: For logs: which credential it was.
    name: str
    #: Of an API key, its id.
    key_id: str | None = None


def check_account(text: object) -> str:
    """Return ``text`` when it is an account id.

    Raises:
        ValueError: it is not, in words that fit behind the name of where it came from.
    """
    if not isinstance(text, str) or not _ACCOUNT.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits or . _ @ - characters")
    return text


def principal_of_claims(claims: Mapping[str, Any], *, account_claim: str, role_claim: str) -> Principal:
    """Return the principal that the claims of a verified token describe.

    The role claim is one role or a list; of a list the highest role counts, and names of other systems are passed
    over.

    Raises:
        InvalidToken: the token names no account, or no role of this platform.
    """
    try:
        account = check_account(claims.get(account_claim))
    except ValueError as error:
        raise InvalidToken(f"The token's claim {account_claim} {error}.") from None
    named = claims.get(role_claim)
    known = [Role(name) for name in (named if isinstance(named, list) else [named]) if name in _NAMES]
    if not known:
        raise InvalidToken(f"The token's claim {role_claim} names none of the roles {', '.join(Role)}.")
    return Principal(account, max(known, key=_RANK.__getitem__), f"token of {claims.get('sub', 'nobody')!r:.80}")


#: A tuple, because what is looked for comes from a client and need not be hashable.
_NAMES = tuple(role.value for role in Role)
