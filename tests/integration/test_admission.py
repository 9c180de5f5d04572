"""Limits of accounts and idempotency keys on a real database: exact, whoever comes at once, whatever died before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.mongo.account_locks import AccountLocks
from app.context import AppContext
from app.domain.account_limits import FileAboveRowLimit, StorageFull, TooManyActive, TooManyActiveRows
from app.domain.actions import Action, Status
from app.domain.faults import Conflict
from app.domain.idempotency import KEY_LIFETIME, KeyReused, scoped
from app.services import quotas as admission
from app.services.quotas import Insertion, check_room
from tests.support.bench import Bench
from tests.support.factories import make_action

ACCOUNT = "acme"


def limited(bench: Bench, **limits: int) -> AppContext:
    """The platform with these limits for the account."""
    settings = bench.settings.model_copy(update={"rate_limit_tiers": {ACCOUNT: limits}})
    return replace(bench.context, settings=settings)


def action(key: str | None = None, digest: str = "one", **fields: Any) -> Action:
    usual: dict[str, Any] = {"accountId": ACCOUNT, "fileSize": 100, "totalCount": 10, "createdAt": datetime.now(UTC)}
    if key is not None:
        usual |= {"idempotencyKey": scoped(ACCOUNT, key), "requestDigest": digest}
    return make_action(**{**usual, **fields})


async def reserve_quota(context: AppContext, made: Action) -> Action:
    return await admission.reserve_quota(context, made, Insertion())


async def stored(bench: Bench) -> int:
    return int(await bench.database["bulk_operations"].count_documents({}))


# Limits


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({"activeActions": 3}, TooManyActive),
        ({"activeRows": 39}, TooManyActiveRows),
        ({"storedBytes": 399}, StorageFull),
    ],
)
async def test_admission_is_exact(bench: Bench, limits: dict[str, int], refusal: type[Exception]) -> None:
    """Of twenty at once exactly as many come in as there is room for."""
    context = limited(bench, **limits)
    ends = await asyncio.gather(*(reserve_quota(context, action()) for _ in range(20)), return_exceptions=True)
    assert [type(end) for end in ends if isinstance(end, Exception)] == [refusal] * 17
    assert await stored(bench) == 3


@pytest.mark.parametrize("status", Status)
async def test_unended_action_counts(bench: Bench, status: Status) -> None:
    """An action that has not ended counts, scheduled or not."""
    context = limited(bench, activeActions=1)
    await bench.store.actions.add(action(status=status))
    if status in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}:
        await check_room(context, ACCOUNT, 0, None)
        await reserve_quota(context, action())
    else:
        with pytest.raises(TooManyActive):
            await check_room(context, ACCOUNT, 0, None)
        with pytest.raises(TooManyActive):
            await reserve_quota(context, action())


async def test_bytes_of_all_actions_count(bench: Bench) -> None:
    """Bytes are those of the files of all actions, also above two gigabytes."""
    context = limited(bench, storedBytes=6_000_000_000)
    for status in (Status.COMPLETED, Status.FAILED):
        await bench.store.actions.add(action(status=status, fileSize=2_900_000_000))
    await bench.store.actions.add(action(accountId="other", fileSize=2_900_000_000))
    assert await bench.store.actions.stored_bytes(ACCOUNT) == 5_800_000_000
    await check_room(context, ACCOUNT, 200_000_000, None)
    with pytest.raises(StorageFull, match="may have 6000000000 bytes together, and have 5800000000"):
        await check_room(context, ACCOUNT, 200_000_001, None)
    await reserve_quota(context, action(fileSize=200_000_000))
    with pytest.raises(StorageFull):
        await reserve_quota(context, action(fileSize=1))


async def test_rows_of_unended_actions_count(bench: Bench) -> None:
    """Those of actions that have ended, and of other accounts, do not; the last row fits."""
    context = limited(bench, activeRows=100)
    for status in (Status.COMPLETED, Status.CANCELLED):
        await bench.store.actions.add(action(status=status, totalCount=1000))
    await bench.store.actions.add(action(accountId="other", totalCount=1000))
    await bench.store.actions.add(action(status=Status.PAUSED, totalCount=60))
    await check_room(context, ACCOUNT, 0, None)
    with pytest.raises(TooManyActiveRows, match="may have 100 rows together, and have 60"):
        await reserve_quota(context, action(totalCount=41))
    with pytest.raises(FileAboveRowLimit, match="The file has 101 rows, and the actions of the account may have 100"):
        await reserve_quota(context, action(totalCount=101))
    await reserve_quota(context, action(totalCount=40))
    with pytest.raises(TooManyActiveRows):
        await check_room(context, ACCOUNT, 0, None)


async def test_unlimited_account_never_waits(bench: Bench) -> None:
    """An account without limits waits for nobody."""
    await bench.database["admissions"].insert_one({"_id": ACCOUNT, "holder": "somebody"})
    await asyncio.wait_for(reserve_quota(bench.context, action()), 20)
    await check_room(bench.context, ACCOUNT, 10**15, None)


async def test_accounts_do_not_block_each_other(bench: Bench) -> None:
    """The turn of one account does not hold up another."""
    turns = bench.store.account_locks
    async with turns.account_lock("a"):
        await asyncio.wait_for(_have(turns, "b"), 20)


async def _have(turns: AccountLocks, account: str) -> float:
    began = time.monotonic()
    async with turns.account_lock(account):
        return time.monotonic() - began


async def test_turn_of_dead_worker_expires(bench: Bench) -> None:
    """The turn of a dead worker is taken once it must be over."""
    turns = AccountLocks(bench.database["admissions"], dead_after=0.5)
    await bench.database["admissions"].insert_one({"_id": ACCOUNT, "holder": "a worker that was killed"})
    waits = await asyncio.gather(*(_have(turns, ACCOUNT) for _ in range(5)))
    assert min(waits) >= 0.5
    assert max(waits) < 30
    assert await bench.database["admissions"].count_documents({}) == 0


async def test_turn_is_always_given_back(bench: Bench) -> None:
    """A turn is given back whatever happens in it."""
    context = limited(bench, activeActions=1)
    await reserve_quota(context, action())
    with pytest.raises(TooManyActive):
        await reserve_quota(context, action())
    task = asyncio.create_task(reserve_quota(context, action()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _have(bench.store.account_locks, ACCOUNT) < 2


# Idempotency keys


@pytest.mark.parametrize("limits", [{}, {"activeActions": 1}, {"storedBytes": 150}])
async def test_one_key_is_one_action(bench: Bench, limits: dict[str, int]) -> None:
    """One key is one action, however many requests come at once."""
    context = limited(bench, **limits)
    standing = await asyncio.gather(*(reserve_quota(context, action("key")) for _ in range(20)))
    assert len({found.id for found in standing}) == 1
    assert await stored(bench) == 1
    await check_room(context, ACCOUNT, 1000, scoped(ACCOUNT, "key"))


async def test_key_of_another_request(bench: Bench) -> None:
    """Another request under the same key is refused."""
    await reserve_quota(bench.context, action("key"))
    with pytest.raises(KeyReused):
        await reserve_quota(bench.context, action("key", "two"))
    assert await stored(bench) == 1


async def test_other_keys_are_other_actions(bench: Bench) -> None:
    """Actions without a key and with other keys are their own."""
    for key in (None, None, "a", "b"):
        made = action(key)
        assert await reserve_quota(bench.context, made) is made
    other = replace(action("a"), account_id="other", idempotency_key=scoped("other", "a"))
    assert await reserve_quota(bench.context, other) is other
    assert await stored(bench) == 5


async def test_existing_action_id_is_an_error(bench: Bench) -> None:
    """An action of an id that is there is an error, with and without a key."""
    first = action()
    await bench.store.actions.add(first)
    for key in (None, "key"):
        with pytest.raises(Conflict):
            await bench.store.actions.add(replace(action(key), id=first.id))


async def test_expired_key_is_free_for_one(bench: Bench) -> None:
    """A key is free again after its life, and one of many gets it."""
    old = action("key", createdAt=datetime.now(UTC) - KEY_LIFETIME - timedelta(seconds=1))
    young = action("young", createdAt=datetime.now(UTC) - KEY_LIFETIME + timedelta(minutes=1))
    for made in (old, young):
        await bench.store.actions.add(made)
    standing = await asyncio.gather(*(reserve_quota(bench.context, action("key", "two")) for _ in range(10)))
    assert len({found.id for found in standing}) == 1
    assert standing[0].id != old.id
    assert await stored(bench) == 3
    assert (await reserve_quota(bench.context, action("young"))).id == young.id
