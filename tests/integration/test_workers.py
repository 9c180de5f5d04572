"""The list of workers on a real Redis: who lives, who is lost, and how many are remembered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.adapters.redis import workers
from app.adapters.redis.client import open_redis
from app.adapters.redis.workers import WorkerRegister
from app.domain.faults import DependencyFault
from app.domain.workers import WorkerReport, WorkerState
from app.settings import Settings
from tests.support.clocks import PAST
from tests.support.factories import make_report
from tests.support.servers import redis_server

#: Seconds between two announcements here.
INTERVAL = 0.1


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with open_redis(settings.redis_uri.get_secret_value()) as client:
        yield client


@pytest.fixture
def namespace(settings: Settings) -> str:
    return settings.kafka_topic


@pytest.fixture
def register(redis: Redis, namespace: str) -> WorkerRegister:
    return WorkerRegister(redis, namespace)


def named(worker_id: str, interval: float = INTERVAL) -> WorkerReport:
    return make_report(worker_id=worker_id, interval=interval)


async def states(register: WorkerRegister) -> dict[str, WorkerState]:
    roll = await register.roll()
    return {one.report.worker_id: one.state_at(roll.at) for one in roll.workers}


async def until_lost(register: WorkerRegister, worker_id: str, *alive: WorkerReport) -> None:
    """Wait until a worker is lost, while others go on announcing themselves."""
    async with asyncio.timeout(30):
        while (await states(register)).get(worker_id) is not WorkerState.LOST:
            for report in alive:
                await register.announce(report)
            await asyncio.sleep(INTERVAL / 4)


async def test_report_comes_back_whole(register: WorkerRegister) -> None:
    report = make_report(memory_bytes=None, state=WorkerState.STUCK)
    await register.announce(report)
    [seen] = (roll := await register.roll()).workers
    assert seen.report == report
    assert timedelta(0) <= roll.at - seen.seen_at < timedelta(seconds=5)


async def test_silent_worker_is_lost(register: WorkerRegister) -> None:
    """One that is not heard of is lost while the others live, and comes back with its next announcement."""
    await register.announce(named("silent"))
    assert await states(register) == {"silent": WorkerState.READY}
    await until_lost(register, "silent", named("alive"))
    assert (await states(register))["alive"] is WorkerState.READY
    await register.announce(named("silent"))
    assert (await states(register))["silent"] is WorkerState.READY


async def test_each_has_its_own_interval(register: WorkerRegister) -> None:
    """During a change of the setting, a worker is judged by the interval that it has itself."""
    await register.announce(named("slow", interval=60))
    await register.announce(named("silent"))
    await until_lost(register, "silent")
    assert (await states(register))["slow"] is WorkerState.READY


async def test_stopped_worker_leaves_at_once(register: WorkerRegister) -> None:
    for worker_id in ("stopped", "alive"):
        await register.announce(named(worker_id))
    await register.withdraw("stopped")
    await register.withdraw("never was")
    assert list(await states(register)) == ["alive"]


async def test_workers_are_in_order(register: WorkerRegister) -> None:
    """The oldest is the first, whoever announced itself last."""
    for second in (3, 1, 2):
        await register.announce(replace(named(f"w{second}"), started_at=PAST.replace(second=second)))
    assert list(await states(register)) == ["w1", "w2", "w3"]


async def test_installations_are_apart(register: WorkerRegister, redis: Redis, namespace: str) -> None:
    await WorkerRegister(redis, f"{namespace}-other").announce(named("theirs"))
    await register.announce(named("ours"))
    assert list(await states(register)) == ["ours"]


async def test_few_lost_are_kept(register: WorkerRegister, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers that die again and again the newest are kept, and none that lives is forgotten for them."""
    monkeypatch.setattr(workers, "MOST_LOST", 5)
    alive = named("alive", interval=60)
    await register.announce(alive)
    for number in range(30):
        await register.announce(named(f"dead{number:02}", interval=0.001))
        await asyncio.sleep(0.005)
    await until_lost(register, "dead29", alive)
    await register.announce(alive)
    found = await states(register)
    assert found.pop("alive") is WorkerState.READY
    assert list(found) == [f"dead{number:02}" for number in range(25, 30)]


async def test_list_has_an_end(
    register: WorkerRegister, redis: Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are started, the list keeps the newest, and nothing else of them stays."""
    monkeypatch.setattr(workers, "MOST", 20)
    for number in range(100):
        await register.announce(named(f"w{number:03}", interval=60))
    assert list(await states(register)) == [f"w{number:03}" for number in range(80, 100)]
    assert await redis.hlen(f"workers:{namespace}:reports") == 20


async def test_lost_are_forgotten(
    register: WorkerRegister, redis: Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost worker is remembered for a while, by those who live; without any, all goes by itself."""
    await register.announce(named("lost"))
    for key in (f"workers:{namespace}:ends", f"workers:{namespace}:reports"):
        assert 0 < await redis.ttl(key) <= workers.REMEMBERED
    monkeypatch.setattr(workers, "REMEMBERED", 1)
    async with asyncio.timeout(30):
        while "lost" in await states(register):
            await register.announce(named("alive"))
            await asyncio.sleep(0.05)
    assert list(await states(register)) == ["alive"]
    async with asyncio.timeout(30):
        while await redis.keys(f"workers:{namespace}:*"):
            await asyncio.sleep(0.05)


async def test_foreign_entry_is_passed_over(register: WorkerRegister, redis: Redis, namespace: str) -> None:
    """What is no report, or has none, does not keep the others from being shown."""
    await register.announce(named("ours"))
    await redis.hset(f"workers:{namespace}:reports", "theirs", "{}")  # type: ignore[misc]
    await redis.zadd(f"workers:{namespace}:ends", {"theirs": 1, "nothing": 2})
    assert list(await states(register)) == ["ours"]


async def test_killed_redis_is_a_fault(tmp_path: Path) -> None:
    """While it is away, each call is a fault that the list is made without."""
    with redis_server(tmp_path) as uri:
        async with open_redis(uri) as redis:
            register = WorkerRegister(redis, "x")
            await register.announce(named("w"))
            with contextlib.suppress(Exception):
                await redis.shutdown(nosave=True)
            for call in (register.announce(named("w")), register.withdraw("w"), register.roll()):
                with pytest.raises((DependencyFault, OSError)):
                    await call


async def test_full_redis_can_still_be_read(tmp_path: Path) -> None:
    """One that takes no writes still tells who was there."""
    with redis_server(tmp_path) as uri:
        async with open_redis(uri) as redis:
            register = WorkerRegister(redis, "x")
            await register.announce(named("w"))
            await redis.config_set("maxmemory", 1)
            with pytest.raises(DependencyFault):
                await register.announce(named("w"))
            assert [one.report.worker_id for one in (await register.roll()).workers] == ["w"]
