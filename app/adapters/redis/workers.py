"""The workers of an installation in Redis: each announces itself, and is remembered for a while when it does no more.

Times are those of Redis' clock, so that the clocks of the workers do not matter.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from app.adapters.redis.client import REDIS
from app.domain.workers import Roll, SeenWorker, WorkerReport, in_order

log = logging.getLogger(__name__)

#: Seconds for which a worker is remembered that is not heard of.
REMEMBERED = 600
#: Most workers that are remembered so: workers that die again and again would be any number.
MOST_LOST = 50
#: Most workers in all.
MOST = 1000

#: Notes a report, and forgets what is old or too much, the oldest first.
#:
#: KEYS: a sorted set of ids by when they are lost, milliseconds; a hash of reports by id.
#: ARGV: id; report; milliseconds until it is lost, and for which it is remembered then; most lost, most in all.
_ANNOUNCE = r"""
local ends, reports = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local patience, remembered, most_lost, most = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])

local function forget(ids)
  if #ids > 0 then
    redis.call('ZREM', ends, unpack(ids))
    redis.call('HDEL', reports, unpack(ids))
  end
end

redis.call('ZADD', ends, now + patience, ARGV[1])
redis.call('HSET', reports, ARGV[1], ARGV[2])
forget(redis.call('ZRANGEBYSCORE', ends, '-inf', now - remembered))
local too_many = math.max(redis.call('ZCOUNT', ends, '-inf', now - 1) - most_lost, redis.call('ZCARD', ends) - most)
if too_many > 0 then forget(redis.call('ZRANGE', ends, 0, too_many - 1)) end
redis.call('PEXPIRE', ends, patience + remembered)
redis.call('PEXPIRE', reports, patience + remembered)
"""

_WITHDRAW = r"""
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
"""

#: Another version may tell more, which is passed over.
_REPORT = TypeAdapter(WorkerReport)


@REDIS.at_border
class WorkerRegister:
    """The reports of all workers.

    Args:
        redis: The client.
        namespace: Tells installations apart that share a Redis.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._ends, self._reports = self._keys = [f"workers:{namespace}:ends", f"workers:{namespace}:reports"]
        self._announce = redis.register_script(_ANNOUNCE)
        self._withdraw = redis.register_script(_WITHDRAW)

    async def announce(self, report: WorkerReport) -> None:
        """Note what a worker tells of itself, and that it has been heard of now; raises the faults of Redis."""
        limits = [_ms(report.patience.total_seconds()), _ms(REMEMBERED), MOST_LOST, MOST]
        await self._announce(keys=self._keys, args=[report.worker_id, _REPORT.dump_json(report), *limits])

    async def withdraw(self, worker_id: str) -> None:
        """Forget a worker that stops; raises the faults of Redis."""
        await self._withdraw(keys=self._keys, args=[worker_id])

    async def roll(self) -> Roll:
        """Return all workers that are known; raises the faults of Redis."""
        # No transaction, which a Redis that is full would refuse. Who comes or goes meanwhile is not shown.
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self._ends, 0, -1, withscores=True)
            pipe.hgetall(self._reports)
            pipe.time()
            ends, reports, (seconds, microseconds) = await pipe.execute()
        at = datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)
        read = ((_read(reports.get(worker_id)), end) for worker_id, end in ends)
        workers = [
            SeenWorker(report, datetime.fromtimestamp(end / 1000, UTC) - report.patience)
            for report, end in read
            if report
        ]
        return Roll(in_order(workers), at)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _read(report: bytes | None) -> WorkerReport | None:
    try:
        return None if report is None else _REPORT.validate_json(report)
    except ValidationError:
        log.debug("a report of a worker is not ours")
        return None
