"""Whether an account may have one more action: looked at before its upload is read, and decided when it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from app.adapters.mongo.actions import NotInserted
from app.context import AppContext
from app.domain.account_limits import (
    AccountLimits,
    FileAboveRowLimit,
    StorageFull,
    TooManyActive,
    TooManyActiveRows,
    TooManyRows,
)
from app.domain.actions import Action
from app.domain.idempotency import KeyReused


@dataclass
class Insertion:
    """Whether the action of an upload is, or may be, in the database: then it needs its file, whatever fails next."""

    possible: bool = False


async def check_room(context: AppContext, account_id: str, size: int, key: str | None) -> None:
    """Return when an upload of at least ``size`` bytes is worth reading.

    One whose idempotency key is known needs no room: it makes nothing, and is not refused before it is compared.

    Raises:
        TooManyActive, TooManyActiveRows, StorageFull: it will be refused.
        app.domain.faults.PassingFault: the database is away.
    """
    limits = context.settings.limits_of(account_id)
    if not _any(limits) or (key is not None and await context.store.actions.find_by_idempotency_key(key) is not None):
        return
    await _count(context, account_id, size, 0, limits)


async def reserve_quota(context: AppContext, action: Action, insertion: Insertion) -> Action:
    """Store a new action, and return it; or return the one that the same request has made before.

    Where the account has limits, its uploads come here one after the other, over all workers: none slips past.
    ``insertion`` tells, also when this raises, whether the action may be stored.

    Raises:
        KeyReused: the idempotency key stands for another request.
        TooManyActive, TooManyActiveRows, FileAboveRowLimit, StorageFull: the account has reached a limit.
        TimeoutError, app.domain.faults.PassingFault: the database is away or too busy.
    """
    limits = context.settings.limits_of(action.account_id)
    actions = context.store.actions
    if not _any(limits):
        return _same(await _insert(context, action, insertion), action)
    async with context.store.account_locks.account_lock(action.account_id):
        key = action.idempotency_key
        standing = None if key is None else await actions.find_by_idempotency_key(key)
        if standing is None:
            await _count(context, action.account_id, action.file.size, action.total_count, limits)
            standing = await _insert(context, action, insertion)
    return _same(standing, action)


async def check_chunk_room(context: AppContext, action: Action, size: int, rows: int) -> None:
    """Return when an action may have one more chunk, of so many bytes and rows.

    Raises:
        TooManyRows, TooManyActiveRows, StorageFull: it, or its account, would have too much.
        app.domain.faults.PassingFault: the database is away.
    """
    settings = context.settings
    if action.total_count + rows > settings.max_rows:
        raise TooManyRows(settings.max_rows)
    limits = settings.limits_of(action.account_id)
    await _check_active_rows(context, action.account_id, rows, limits)
    await _check_storage(context, action.account_id, size, limits)


async def _insert(context: AppContext, action: Action, insertion: Insertion) -> Action:
    insertion.possible = True
    try:
        standing = await context.store.actions.add(action)
    except NotInserted:
        insertion.possible = False
        raise
    insertion.possible = standing.id == action.id
    return standing


def _any(limits: AccountLimits) -> bool:
    return bool(limits.active_actions or limits.active_rows or limits.stored_bytes)


async def _count(context: AppContext, account_id: str, size: int, rows: int, limits: AccountLimits) -> None:
    """Compare what an account has with what it may have; ``rows`` of a file that is yet to be read are 0."""
    if limits.active_rows and rows > limits.active_rows:
        raise FileAboveRowLimit(limits.active_rows, rows)
    await _check_active_rows(context, account_id, max(rows, 1), limits)
    if limits.active_actions and await context.store.actions.active(account_id) >= limits.active_actions:
        raise TooManyActive(limits.active_actions)
    await _check_storage(context, account_id, size, limits)


async def _check_active_rows(context: AppContext, account_id: str, rows: int, limits: AccountLimits) -> None:
    if limits.active_rows:
        active = await context.store.actions.active_rows(account_id)
        if active + rows > limits.active_rows:
            raise TooManyActiveRows(limits.active_rows, active)


async def _check_storage(context: AppContext, account_id: str, size: int, limits: AccountLimits) -> None:
    if limits.stored_bytes:
        stored = await context.store.actions.stored_bytes(account_id)
        if stored + size > limits.stored_bytes:
            raise StorageFull(limits.stored_bytes, stored)


def _same(standing: Action, action: Action) -> Action:
    if standing.id != action.id and standing.request_digest != action.request_digest:
        raise KeyReused
    return standing
