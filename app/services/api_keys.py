"""API keys: making and revoking them, for whoever is allowed to, by the API or by a command.

Whoever calls tells of it: in the audit log, and as an event of the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.adapters.mongo import Store
from app.domain.access import Role
from app.domain.api_keys import ApiKey, fingerprint, new_key


class TooManyKeys(Exception):
    """The account has as many active keys as it may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class NoSuchKey(Exception):
    """There is no key of that id, or it is another account's."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was just made, with the key itself, which nobody can tell again."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A key that is revoked, and whether it was only now."""

    key: ApiKey
    new: bool


async def make_key(
    store: Store, account_id: str, role: Role, *, name: str, expires_at: datetime | None, by: str, most: int
) -> MadeKey:
    """Make a key of an account, which may have ``most`` that are active.

    Keys of one account are made one after the other, over all workers, so that it never has more.

    Raises:
        TooManyKeys: it has them.
        TimeoutError, app.domain.faults.PassingFault: the database is away or too busy.
    """
    secret = new_key()
    async with store.account_locks.account_lock(account_id):
        if await store.api_keys.has_active(account_id, most):
            raise TooManyKeys(most)
        key = ApiKey(fingerprint(secret), account_id, role, name, datetime.now(UTC), expires_at, created_by=by)
        await store.api_keys.add(key)
    return MadeKey(key, secret)


async def revoke_key(store: Store, key_id: str, *, by: str, account_id: str | None = None) -> Revocation:
    """Make a key open nothing any more; one that was revoked before stays as it is.

    Args:
        store: Where it is.
        key_id: Which key.
        by: Who asks for it.
        account_id: Whose key it has to be; None: anybody's.

    Raises:
        NoSuchKey: there is none.
        app.domain.faults.PassingFault: the database is away.
    """
    key = await store.api_keys.find(key_id)
    if key is None or account_id not in (None, key.account_id):
        raise NoSuchKey(key_id)
    new = await store.api_keys.revoke(key.fingerprint, by)
    # As it is now, whoever was the first to revoke it.
    key = await store.api_keys.get(key.fingerprint)
    if key is None:
        raise NoSuchKey(key_id)
    return Revocation(key, new)
