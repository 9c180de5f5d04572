"""Redis as the platform uses it: one client, one object per concern."""

from __future__ import annotations

from app.adapters.redis.claims import Claims
from app.adapters.redis.client import REDIS, open_redis, refuse_unfit
from app.adapters.redis.inspection import Inspection
from app.adapters.redis.snapshots import Snapshots
from app.adapters.redis.workers import WorkerRegister

#: So long the trace of a probe stays, milliseconds.
_PROBE_TTL_MS = 10_000


@REDIS.at_border
class RedisStore:
    """The client that claims, live counters and the list of workers share.

    Args:
        uri: Where Redis is; nothing is connected yet.
        namespace: Tells installations apart that share a Redis.
        claims_ttl: Seconds after its last claim after which the claims of an action are forgotten.
    """

    def __init__(self, uri: str, *, namespace: str, claims_ttl: int) -> None:
        self._redis = open_redis(uri)
        self._namespace = namespace
        self.claims = Claims(self._redis, ttl=claims_ttl)
        self.snapshots = Snapshots(self._redis)
        self.workers = WorkerRegister(self._redis, namespace)
        self.inspection = Inspection(self._redis)

    async def prepare(self) -> None:
        """Return when Redis answers and will do.

        Raises:
            UnfitRedis: it is a cluster, or forgets what it was given when it is full.
            app.domain.faults.DependencyFault: it does not answer, or does not know us.
        """
        await refuse_unfit(self._redis)

    async def ping(self) -> None:
        """Return when Redis answers; raises a fault when it does not."""
        await self._redis.ping()

    async def check_write(self) -> None:
        """Return when Redis takes writes: full, or a replica now, it still answers a ping.

        Raises:
            app.domain.faults.DependencyFault: it does not.
        """
        await self._redis.set(f"probe:{self._namespace}", 1, px=_PROBE_TTL_MS)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
