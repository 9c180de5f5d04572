"""Live snapshots on a real Redis, and what is left of them when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.adapters.redis import snapshots
from app.adapters.redis.snapshots import Snapshots
from app.domain.actions import new_action_id
from app.domain.live_counters import LiveCounters
from app.domain.outcomes import Counts
from app.settings import Settings
from stack.addresses import free_port

COUNTERS = LiveCounters(Counts(success=9, failure=1))


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = Redis.from_url(settings.redis_uri.get_secret_value())
    yield client
    await client.aclose()


@pytest.fixture
async def away() -> AsyncIterator[Snapshots]:
    """Snapshots in a Redis that does not answer."""
    client = Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_connect_timeout=1)
    yield Snapshots(client)
    await client.aclose()


@pytest.fixture
def action() -> str:
    return new_action_id()


async def test_workers_see_newest_counters(redis: Redis, action: str) -> None:
    """Every worker sees the newest counters."""
    writer, reader = Snapshots(redis), Snapshots(redis)
    assert await reader.get(action) is None
    await writer.publish(action, LiveCounters(Counts(success=5)))
    await writer.publish(action, COUNTERS)
    assert await reader.get(action) == COUNTERS
    assert await reader.get(new_action_id()) is None


async def test_listeners_are_told(redis: Redis, action: str) -> None:
    """New counters, and other changes of an action, are announced to those who listen."""
    snapshots = Snapshots(redis)
    changes = snapshots.changes()
    assert await anext(changes) == (None, True)
    await snapshots.publish(action, COUNTERS)
    await snapshots.announce(action)
    told: list[tuple[str | None, bool]] = []
    async with asyncio.timeout(60):
        while (action, True) not in told:
            told.append(await anext(changes))
    await changes.aclose()
    # Others may announce theirs meanwhile.
    assert [change for change in told if change[0] == action] == [(action, False), (action, True)]


async def test_dropped_counters_are_gone(redis: Redis, action: str) -> None:
    """Dropped counters are gone, and dropping twice is no error."""
    snapshots = Snapshots(redis)
    await snapshots.publish(action, COUNTERS)
    await snapshots.drop(action)
    await snapshots.drop(action)
    assert await snapshots.get(action) is None


async def test_abandoned_counters_expire(redis: Redis, action: str) -> None:
    """Counters of an action that nobody ended expire."""
    await Snapshots(redis).publish(action, COUNTERS)
    assert 0 < await redis.ttl(f"progress:{action}") <= 3600


async def test_absent_redis_shows_old_progress(away: Snapshots, action: str, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that is away only makes progress look older."""
    await away.publish(action, COUNTERS)
    assert await away.get(action) is None
    await away.drop(action)
    assert [record.levelname for record in caplog.records if record.name == snapshots.__name__] == ["WARNING"] * 3
