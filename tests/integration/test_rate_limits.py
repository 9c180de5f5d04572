"""Rate limits on a real Redis: a window that slides, the same for all workers, and nothing left when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from app.adapters.redis.rate_limits import RateLimits
from app.settings import Settings

MakeLimits = Callable[..., RateLimits]


@pytest.fixture
async def make_limits(settings: Settings) -> AsyncIterator[MakeLimits]:
    """Limits of as many workers as wanted."""
    async with AsyncExitStack() as stack:

        def make(window_ms: int = 60_000, namespace: str = settings.kafka_topic) -> RateLimits:
            limits = RateLimits(settings.redis_uri.get_secret_value(), window_ms=window_ms, namespace=namespace)
            stack.push_async_callback(limits.close)
            return limits

        yield make


async def test_limit_is_exact_across_workers(make_limits: MakeLimits) -> None:
    """Of many at once over several workers exactly the limit passes."""
    workers = [make_limits() for _ in range(3)]
    asked = [worker.hit("acme", "uploads", 25) for worker in workers for _ in range(30)]
    verdicts = await asyncio.gather(*asked)
    assert sum(verdict.allowed for verdict in verdicts) == 25
    assert all(verdict.remaining == 0 for verdict in verdicts if not verdict.allowed)


async def test_crowd_is_counted(make_limits: MakeLimits) -> None:
    """A crowd at one worker waits and is counted.

    More than there are connections: what cannot be asked at once must not pass as if Redis were away.
    """
    limits = make_limits()
    verdicts = await asyncio.gather(*(limits.hit("acme", "uploads", 10) for _ in range(1000)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


async def test_remaining_requests_are_told(make_limits: MakeLimits) -> None:
    """The number of requests that is left counts down, and is told."""
    limits = make_limits()
    verdicts = [await limits.hit("acme", "uploads", 3) for _ in range(5)]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert all(58 < verdict.reset_at - time.time() <= 60 for verdict in verdicts)
    assert verdicts[-1].retry_after(time.time()) in (59, 60)


async def test_windows_are_separate(make_limits: MakeLimits) -> None:
    """Accounts, classes and installations do not share a window."""
    limits, foreign = make_limits(), make_limits(namespace="another")
    for account in ("a", "b", "a.b", "a@b", "a-b"):
        for kind in ("uploads", "reads"):
            assert (await limits.hit(account, kind, 1)).allowed
            assert not (await limits.hit(account, kind, 1)).allowed
    assert (await foreign.hit(f"a-{time.time_ns()}", "uploads", 1)).allowed


async def test_window_slides(make_limits: MakeLimits) -> None:
    """The window slides, so that a border of the clock gives nothing twice.

    Two, then two more half a window later: a fixed window would give the four again at its border at once.
    """
    limits, window = make_limits(window_ms=2000), 2.0
    passed: list[tuple[float, float]] = []
    refused: list[tuple[float, float]] = []

    async def ask() -> None:
        sent = time.time()
        verdict = await limits.hit("acme", "uploads", 4)
        (passed if verdict.allowed else refused).append((sent, time.time()))

    begin = time.time()
    await asyncio.gather(*(ask() for _ in range(2)))
    await asyncio.sleep(window / 2)
    await asyncio.gather(*(ask() for _ in range(2)))
    while time.time() - begin < 2.25 * window:
        await ask()
        await asyncio.sleep(0.01)
    # A request is counted at some moment between its sending and its answer.
    # Of two at once either may be counted first.
    sent, answered = (sorted(times) for times in zip(*passed, strict=True))
    assert all(late - early >= window for early, late in zip(sent, answered[4:], strict=False)), passed
    assert len(passed) >= 6, "the places of the first are free again"
    for asked, told in refused:
        assert len([1 for begun, ended in passed if begun <= told and ended > asked - window]) >= 4, "none was free"


async def test_told_wait_is_enough(make_limits: MakeLimits) -> None:
    """Waiting as long as was said is enough."""
    limits = make_limits(window_ms=1000)
    assert (await limits.hit("acme", "uploads", 1)).allowed
    refused = await limits.hit("acme", "uploads", 1)
    assert not refused.allowed
    await asyncio.sleep(refused.retry_after(time.time()))
    assert (await limits.hit("acme", "uploads", 1)).allowed


@pytest.mark.parametrize(("window_ms", "seconds"), [(1, 1), (1000, 1), (1001, 2), (59_999, 60), (60_000, 60)])
async def test_window_is_whole_seconds(make_limits: MakeLimits, window_ms: int, seconds: int) -> None:
    """A window is rounded up to whole seconds."""
    limits = make_limits(window_ms=window_ms)
    assert limits.seconds == seconds
    verdict = await limits.hit("acme", "uploads", 1)
    assert 0 < verdict.reset_at - time.time() <= seconds


async def test_keys_expire_and_stay_small(make_limits: MakeLimits, settings: Settings) -> None:
    """Keys expire by themselves, and hold no more than the limit."""
    limits = make_limits(window_ms=1000)
    for _ in range(50):
        await limits.hit("acme", "uploads", 3)
    redis = Redis.from_url(settings.redis_uri.get_secret_value())
    try:
        [key] = await redis.keys(f"*{settings.kafka_topic}*")
        assert await redis.llen(key) == 3
        assert 0 < await redis.pttl(key) <= 1000
        async with asyncio.timeout(60):
            while await redis.exists(key):
                await asyncio.sleep(0.05)
    finally:
        await redis.aclose()


async def test_forgotten_scripts_are_reloaded(make_limits: MakeLimits, settings: Settings) -> None:
    """A Redis that has forgotten the scripts is taught them again."""
    limits = make_limits()
    await limits.hit("acme", "uploads", 5)
    redis = Redis.from_url(settings.redis_uri.get_secret_value())
    await redis.script_flush()
    await redis.aclose()
    assert (await limits.hit("acme", "uploads", 5)).remaining == 3
