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
from app.domain.account_limits import StorageFull, TooManyActive
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
    usual: dict[str, Any] = {"accountId": ACCOUNT, "fileSize": 100, "createdAt": datetime.now(UTC)}
    if key is not None:
        usual |= {"idempotencyKey": scoped(ACCOUNT, key), "requestDigest": digest}
    return make_action(**{**usual, **fields})


async def reserve_quota(context: AppContext, made: Action) -> Action:
    return await admission.reserve_quota(context, made, Insertion())


async def stored(bench: Bench) -> int:
    return int(await bench.database["bulk_operations"].count_documents({}))


# Limits


@pytest.mark.parametrize(
    ("limits", "refusal"), [({"activeActions": 3}, TooManyActive), ({"storedBytes": 399}, StorageFull)]
)
async def test_of_twenty_at_once_exactly_as_many_come_in_as_there_is_room_for(
    bench: Bench, limits: dict[str, int], refusal: type[Exception]
) -> None:
    context = limited(bench, **limits)
    ends = await asyncio.gather(*(reserve_quota(context, action()) for _ in range(20)), return_exceptions=True)
    assert [type(end) for end in ends if isinstance(end, Exception)] == [refusal] * 17
    assert await stored(bench) == 3


@pytest.mark.parametrize("status", Status)
async def test_an_action_that_has_not_ended_counts_scheduled_or_not(bench: Bench, status: Status) -> None:
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


async def test_bytes_are_the_files_of_all_actions_also_above_two_gigabytes(bench: Bench) -> None:
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


async def test_an_account_without_limits_waits_for_nobody(bench: Bench) -> None:
    await bench.database["admissions"].insert_one({"_id": ACCOUNT, "holder": "somebody"})
    await asyncio.wait_for(reserve_quota(bench.context, action()), 2)
    await check_room(bench.context, ACCOUNT, 10**15, None)


async def test_the_turn_of_one_account_does_not_hold_up_another(bench: Bench) -> None:
    turns = bench.store.account_locks
    async with turns.account_lock("a"):
        await asyncio.wait_for(_have(turns, "b"), 2)


async def _have(turns: AccountLocks, account: str) -> float:
    began = time.monotonic()
    async with turns.account_lock(account):
        return time.monotonic() - began


async def test_the_turn_of_a_dead_worker_is_taken_once_it_must_be_over(bench: Bench) -> None:
    turns = AccountLocks(bench.database["admissions"], dead_after=0.5)
    await bench.database["admissions"].insert_one({"_id": ACCOUNT, "holder": "a worker that was killed"})
    waits = await asyncio.gather(*(_have(turns, ACCOUNT) for _ in range(5)))
    assert min(waits) >= 0.5
    assert max(waits) < 5
    assert await bench.database["admissions"].count_documents({}) == 0


async def test_a_turn_is_given_back_whatever_happens_in_it(bench: Bench) -> None:
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
async def test_one_key_is_one_action_however_many_come_at_once(bench: Bench, limits: dict[str, int]) -> None:
    context = limited(bench, **limits)
    standing = await asyncio.gather(*(reserve_quota(context, action("key")) for _ in range(20)))
    assert len({found.id for found in standing}) == 1
    assert await stored(bench) == 1
    await check_room(context, ACCOUNT, 1000, scoped(ACCOUNT, "key"))


async def test_another_request_under_the_same_key_is_refused(bench: Bench) -> None:
    await reserve_quota(bench.context, action("key"))
    with pytest.raises(KeyReused):
        await reserve_quota(bench.context, action("key", "two"))
    assert await stored(bench) == 1


async def test_actions_without_a_key_and_with_other_keys_are_their_own(bench: Bench) -> None:
    for key in (None, None, "a", "b"):
        made = action(key)
        assert await reserve_quota(bench.context, made) is made
    other = replace(action("a"), account_id="other", idempotency_key=scoped("other", "a"))
    assert await reserve_quota(bench.context, other) is other
    assert await stored(bench) == 5


async def test_an_action_of_an_id_that_is_there_is_an_error_with_and_without_a_key(bench: Bench) -> None:
    first = action()
    await bench.store.actions.add(first)
    for key in (None, "key"):
        with pytest.raises(Conflict):
            await bench.store.actions.add(replace(action(key), id=first.id))


async def test_a_key_is_free_again_after_its_life_and_one_of_many_gets_it(bench: Bench) -> None:
    old = action("key", createdAt=datetime.now(UTC) - KEY_LIFETIME - timedelta(seconds=1))
    young = action("young", createdAt=datetime.now(UTC) - KEY_LIFETIME + timedelta(minutes=1))
    for made in (old, young):
        await bench.store.actions.add(made)
    standing = await asyncio.gather(*(reserve_quota(bench.context, action("key", "two")) for _ in range(10)))
    assert len({found.id for found in standing}) == 1
    assert standing[0].id != old.id
    assert await stored(bench) == 3
    assert (await reserve_quota(bench.context, action("young"))).id == young.id
