"""Rate limits in Redis: how many requests of an account fall into the last window of time, over all workers.

The window slides: it is the time before this very request, not a minute of the clock. A request that is let through is
noted with its moment by one Lua script of the library, so that no two workers give away the same place; what is refused
is not noted. The notes of an account expire one window after the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.adapters.redis.client import RECONNECT

log = logging.getLogger(__name__)

#: Longest that Redis may take for a request, seconds.
_TIMEOUT = 1.0
#: After a failure Redis is left alone for this long, seconds: a crowd must not wait for it one by one.
_PAUSE = 1.0
#: Between two warnings that Redis is away, seconds.
_WARN_EVERY = 60.0
#: Requests that ask at once. Others wait for their turn, outside of the timeout: a crowd must not look like a Redis
#: that is away, because then it would pass uncounted. So few that a worker that
#: shares its core has all of them answered in time.
_AT_ONCE = 8


class RateLimitsUnavailable(Exception):
    """Redis is away: nobody knows how many requests there were."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is within its limit, and what is left."""

    allowed: bool
    limit: int
    remaining: int
    #: Unix time, seconds, at which the oldest request that counts leaves the window.
    reset_at: float

    def retry_after(self, now: float) -> int:
        """Return the whole seconds after which a place is free, at least 1."""
        return max(1, math.ceil(self.reset_at - now))


class RateLimits:
    """The windows of all accounts, through a pool of connections of its own that fails fast."""

    def __init__(
        self, redis_uri: str, *, window_ms: int, namespace: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Describe them; nothing is connected yet.

        The library keeps whole seconds, so a window is rounded up to them: never shorter than was asked for. Workers of
        different ``namespace`` do not share their windows.
        """
        #: The window, seconds.
        self.seconds = math.ceil(window_ms / 1000)
        self._namespace = namespace
        self._clock = clock
        self._pool = ConnectionPool.from_url(
            redis_uri,
            max_connections=_AT_ONCE,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            # Once, at once: for a connection that was left from before a restart of Redis, or a failover.
            retry=Retry(NoBackoff(), 1, RECONNECT),
        )
        # The address is the pool's. The library hands the pool on as it is, whatever its annotation says.
        pool: Any = self._pool
        storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        self._windows = MovingWindowRateLimiter(storage)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._paused_until = -math.inf
        self._warned_at = -math.inf

    async def hit(self, account_id: str, kind: str, limit: int) -> Verdict:
        """Take a place for a request in the window of an account, if there is one.

        Raises:
            RateLimitsUnavailable: Redis is away; known within a second, and then at once for another.
        """
        async with self._turns:
            if self._clock() < self._paused_until:
                raise RateLimitsUnavailable
            return await self._ask(account_id, kind, limit)

    async def _ask(self, account_id: str, kind: str, limit: int) -> Verdict:
        item = RateLimitItemPerSecond(limit, self.seconds, namespace=self._namespace)
        try:
            async with asyncio.timeout(_TIMEOUT):
                allowed = await self._windows.hit(item, account_id, kind)
                reset_at, remaining = await self._windows.get_window_stats(item, account_id, kind)
        except (RedisError, OSError) as error:
            self._note(error)
            raise RateLimitsUnavailable from None
        return Verdict(allowed, limit, max(0, remaining) if allowed else 0, reset_at)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.disconnect()

    def _note(self, error: Exception) -> None:
        now = self._clock()
        self._paused_until = now + _PAUSE
        if now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            log.warning("rate limits cannot be told, Redis is away: %r (said once a minute)", error)
