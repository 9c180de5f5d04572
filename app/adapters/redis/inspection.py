"""What a Redis says of itself, for the doctor."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from app.adapters.redis.client import REDIS
from app.domain.diagnosis.redis import RedisFacts


@REDIS.at_border
class Inspection:
    """Looks at a Redis and changes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def facts(self) -> RedisFacts:
        """Return what it says of itself; raises the faults of Redis."""
        found: dict[str, Any] = {}
        for section in ("server", "cluster", "memory", "persistence", "replication"):
            found |= await self._redis.info(section)
        return RedisFacts(
            version=str(found.get("redis_version", "0")),
            cluster=bool(int(found.get("cluster_enabled", 0))),
            primary=found.get("role", "master") == "master",
            policy=str(found.get("maxmemory_policy", "noeviction")),
            max_memory=int(found.get("maxmemory", 0)),
            used_memory=int(found.get("used_memory", 0)),
            append_only=bool(int(found.get("aof_enabled", 0))),
            write_failed="err" in (found.get("aof_last_write_status"), found.get("rdb_last_bgsave_status")),
        )

    async def time(self) -> float:
        """Return its clock, seconds since 1970."""
        seconds, microseconds = await self._redis.time()
        return float(seconds) + float(microseconds) / 1e6
