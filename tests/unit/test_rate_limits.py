"""Rate limits while Redis is away: said at once or within a second, and warned of once a minute."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from app.adapters.redis.rate_limits import RateLimits, RateLimitsUnavailable, Verdict
from tests.support.clocks import ManualClock


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A server that takes connections and never answers."""
    writers: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
    server.close()
    await server.wait_closed()


def limits_at(port: int, clock: ManualClock) -> RateLimits:
    return RateLimits(f"redis://127.0.0.1:{port}/0", window_ms=60_000, namespace="test", clock=clock)


async def fail(limits: RateLimits) -> float:
    """Ask for what cannot be told; the seconds that took."""
    began = time.monotonic()
    with pytest.raises(RateLimitsUnavailable):
        await limits.hit("acme", "uploads", 5)
    return time.monotonic() - began


async def test_a_redis_that_hangs_costs_a_second_and_the_next_requests_nothing(silent_port: int) -> None:
    clock = ManualClock()
    limits = limits_at(silent_port, clock)
    assert 0.9 < await fail(limits) < 2.5
    assert sum([await fail(limits) for _ in range(100)]) < 0.3
    clock.now += 1.1
    assert await fail(limits) > 0.9, "after a second it is asked again"
    await limits.close()


async def test_many_requests_at_once_wait_for_a_redis_that_hangs_together(silent_port: int) -> None:
    limits = limits_at(silent_port, ManualClock())
    began = time.monotonic()
    await asyncio.gather(*(fail(limits) for _ in range(100)))
    assert time.monotonic() - began < 3
    await limits.close()


async def test_a_redis_that_is_away_is_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    limits = limits_at(1, clock)
    with caplog.at_level(logging.WARNING, logger="app.adapters.redis.rate_limits"):
        for seconds, warnings in [(0, 1), (2, 1), (57, 1), (2, 2), (30, 2), (31, 3)]:
            clock.now += seconds
            assert await fail(limits) < 0.5
            assert len(caplog.records) == warnings
    await limits.close()


@pytest.mark.parametrize(("reset_at", "seconds"), [(100.0, 1), (100.001, 1), (101.0, 1), (101.001, 2), (99.0, 1)])
def test_the_time_to_wait_is_whole_seconds_and_long_enough(reset_at: float, seconds: int) -> None:
    assert Verdict(allowed=False, limit=1, remaining=0, reset_at=reset_at).retry_after(100.0) == seconds
