"""Rate limits while Redis is away: said at once or within a second, and warned of once a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.adapters.redis.rate_limits import RateLimits, RateLimitsUnavailable, Verdict
from tests.support.clocks import ManualClock, without_waiting


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """A server that takes connections and never answers: its port, and the connections so far."""
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        for writer in taken:
            writer.close()
        server.close()
        await server.wait_closed()


def limits_at(port: int, clock: ManualClock) -> RateLimits:
    return RateLimits(f"redis://127.0.0.1:{port}/0", window_ms=60_000, namespace="test", clock=clock)


async def fail(limits: RateLimits) -> float:
    """Ask for what cannot be told; the seconds that took, on the clock of the loop."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(RateLimitsUnavailable):
        await limits.hit("acme", "uploads", 5)
    return asyncio.get_running_loop().time() - began


@without_waiting
async def test_hanging_redis_costs_a_second() -> None:
    """A Redis that hangs costs one request a second, and the next requests nothing."""
    async with silent_server() as (port, taken):
        clock = ManualClock()
        limits = limits_at(port, clock)
        assert await fail(limits) == pytest.approx(1)
        before = len(taken)
        assert sum([await fail(limits) for _ in range(100)]) == 0
        assert len(taken) == before
        clock.now += 1.1
        assert await fail(limits) == pytest.approx(1), "after a second it is asked again"
        await limits.close()


@without_waiting
async def test_requests_share_one_wait() -> None:
    """Many requests at once wait for a Redis that hangs together."""
    async with silent_server() as (port, taken):
        limits = limits_at(port, ManualClock())
        assert max(await asyncio.gather(*(fail(limits) for _ in range(100)))) == pytest.approx(1)
        assert len(taken) > 1, "they do not wait one by one"
        await limits.close()


@without_waiting
async def test_redis_warning_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that is away is warned of once a minute."""
    clock = ManualClock()
    limits = limits_at(1, clock)
    with caplog.at_level(logging.WARNING, logger="app.adapters.redis.rate_limits"):
        for seconds, warnings in [(0, 1), (2, 1), (57, 1), (2, 2), (30, 2), (31, 3)]:
            clock.now += seconds
            assert await fail(limits) == 0
            assert len(caplog.records) == warnings
    await limits.close()


@pytest.mark.parametrize(("reset_at", "seconds"), [(100.0, 1), (100.001, 1), (101.0, 1), (101.001, 2), (99.0, 1)])
def test_retry_time_is_long_enough(reset_at: float, seconds: int) -> None:
    """The time to wait is in whole seconds, and long enough."""
    assert Verdict(allowed=False, limit=1, remaining=0, reset_at=reset_at).retry_after(100.0) == seconds
