"""What is looked at of Redis."""

from __future__ import annotations

import time

from app.adapters.redis.store import RedisStore
from app.domain.diagnosis import redis as rules
from app.domain.diagnosis.clocks import judge_clock
from app.domain.diagnosis.findings import Finding, ok
from app.services.doctor.check import Check

_REACH = "start Redis, or correct REDIS_URI"
_MAY_LOOK = "let its user run INFO and TIME (ACL: +info +time)"
_MAY_WRITE = "let its user write (ACL: ~* +@all), and make sure that it is a primary with room"


def cache_checks(redis: RedisStore) -> list[Check]:
    """Return the checks of a Redis."""
    inspection = redis.inspection

    async def connects() -> Finding:
        began = time.monotonic()
        await redis.ping()
        return ok(f"answers within {(time.monotonic() - began) * 1000:.0f} ms")

    async def server() -> Finding:
        return rules.judge_server(await inspection.facts())

    async def writes() -> Finding:
        await redis.check_write()
        return ok("takes writes")

    async def eviction() -> Finding:
        return rules.judge_eviction(await inspection.facts())

    async def memory() -> Finding:
        return rules.judge_memory(await inspection.facts())

    async def persistence() -> Finding:
        return rules.judge_persistence(await inspection.facts())

    async def clock() -> Finding:
        before = time.time()
        theirs = await inspection.time()
        return judge_clock(theirs, before, time.time())

    return [
        Check("Redis", connects, _REACH),
        Check("Redis server", server, _MAY_LOOK),
        Check("Redis permissions", writes, _MAY_WRITE),
        Check("Redis eviction", eviction, _MAY_LOOK),
        Check("Redis memory", memory, _MAY_LOOK),
        Check("Redis persistence", persistence, _MAY_LOOK),
        Check("Redis clock", clock, _MAY_LOOK),
    ]
