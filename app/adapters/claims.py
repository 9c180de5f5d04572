"""De-duplication claims in Redis: inside an action one row owns a record.

A claim maps a digest of a key value (12 bytes of XXH3-128) to the row that owns it. All claims of an action are
spread over hashes ``dedupe:{actionId}:{bucket}``, so many that each stays small enough for Redis to pack its entries
into one piece of memory: about 25 bytes per value instead of 75. ``dedupe:{actionId}`` itself holds the number of
buckets, and that the action has ended. ``dedupe:expiry`` says when the claims of each action are to be forgotten if
it never ends: to give each bucket its own expiry would double the work of a claim.

A whole chunk claims in one round trip, atomically; a chunk that claims again finds its own rows as the owners and so
changes nothing. Two of 10 million different values have the same digest with a probability of 10^-15: then one row
would be taken for a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import orjson
from redis.asyncio import Redis
from xxhash import xxh3_128_digest

#: Redis packs hashes of up to 128 entries (hash-max-listpack-entries); buckets fill unevenly.
_VALUES_PER_BUCKET = 64
_BUCKETS_PER_COMMAND = 1000
_SWEPT_AT_ONCE = 10
_EXPIRY = "dedupe:expiry"

# A row may have several key values (its id, its unique field). It owns all of them or claims none.
_CLAIM = """
local action, ttl, width = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3])
local rows, digests = ARGV[4], ARGV[5]
local buckets = redis.call('GET', action)
if not buckets then
  buckets = ARGV[2]
  redis.call('SET', action, buckets)
end
buckets = tonumber(buckets)
if not buckets then return 'released' end
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ttl, action)
local call, sub, unpack, format = redis.call, string.sub, struct.unpack, string.format
local taken, at = {}, 1
for position = 0, #rows / 8 - 1 do
  local row = format('%.0f', (unpack('<d', rows, position * 8 + 1)))
  local claimed, owner = {}, nil
  for _ = 1, width do
    local digest = sub(digests, at, at + 11)
    local bucket = action .. ':' .. (unpack('<I4', digests, at + 12)) % buckets
    at = at + 16
    if call('HSETNX', bucket, digest, row) == 1 then
      claimed[#claimed + 1] = {bucket, digest}
    else
      local present = call('HGET', bucket, digest)
      if present ~= row and (not owner or tonumber(present) < owner) then owner = tonumber(present) end
    end
  end
  if owner then
    for _, claim in ipairs(claimed) do call('HDEL', claim[1], claim[2]) end
    taken[#taken + 1] = {position, format('%.0f', owner)}
  end
end
return cjson.encode(taken)
"""

# What is left behind stops a worker that slept through the end of the action from claiming anew. It still tells the
# number of buckets, for a release that is repeated because the first was interrupted.
_RELEASE = """
local state = redis.call('GET', KEYS[1]) or '0'
local buckets = string.match(state, '%d+')
-- A full Redis refuses what needs memory, unless the script has written already: it is to give memory back.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 'released ' .. buckets, 'EX', ARGV[1])
return tonumber(buckets)
"""


class ClaimsReleased(Exception):
    """The action has ended: no row of it may claim a record any more."""


class Claims:
    """Claims of rows on the records they are to write.

    Args:
        redis: where they are.
        ttl: seconds after the last claim of an action after which ``sweep`` forgets them all.
    """

    def __init__(self, redis: Redis, *, ttl: int) -> None:
        self._redis = redis
        self._ttl = ttl
        self._claim = redis.register_script(_CLAIM)
        self._release = redis.register_script(_RELEASE)

    async def claim(
        self, action_id: str, row_count: int, rows: Sequence[int], columns: Sequence[Sequence[str]]
    ) -> dict[int, int]:
        """Claim key values for rows.

        Args:
            action_id: the action within which values are unique, column by column.
            row_count: how many rows the whole action has, about.
            rows: the numbers of the rows.
            columns: for each kind of key the values of these rows.

        Returns:
            For the rows that own nothing: position in ``rows`` → number of the row that owns the value.

        Raises:
            ClaimsReleased: the action has ended.
            redis.exceptions.RedisError: Redis cannot be reached; asking again is safe.
        """
        if not rows:
            return {}
        buckets = max(1, row_count * len(columns) // _VALUES_PER_BUCKET)
        numbers = np.array(rows, "<f8").tobytes()
        reply = await self._claim(
            keys=[_key(action_id), _EXPIRY], args=[self._ttl, buckets, len(columns), numbers, _digests(columns)]
        )
        if reply == b"released":
            raise ClaimsReleased(action_id)
        # An empty Lua table is encoded as an object.
        return {position: int(owner) for position, owner in orjson.loads(reply)} if reply != b"{}" else {}

    async def release(self, action_id: str) -> None:
        """Forget the claims of an action that has ended, and take no more of it."""
        await self._forget(_key(action_id))

    async def sweep(self) -> None:
        """Forget the claims of actions that have not claimed for so long that they will not end any more."""
        now = int((await self._redis.time())[0])
        old: Any = await self._redis.zrange(_EXPIRY, "-inf", now, byscore=True, offset=0, num=_SWEPT_AT_ONCE)
        for key in old:
            await self._forget(key.decode())

    async def _forget(self, key: str) -> None:
        buckets = await self._release(keys=[key], args=[self._ttl])
        for first in range(0, buckets, _BUCKETS_PER_COMMAND):
            last = min(first + _BUCKETS_PER_COMMAND, buckets)
            await self._redis.unlink(*(f"{key}:{bucket}" for bucket in range(first, last)))
        # Last, so that what an interrupted release leaves is swept.
        await self._redis.zrem(_EXPIRY, key)


def _digests(columns: Sequence[Sequence[str]]) -> bytes:
    """The digests of all values, row by row: 12 bytes that name the value, 4 that choose its bucket."""
    # The seed keeps an id and an e-mail address that look alike apart.
    digests: list[Iterator[bytes]] = [
        map(xxh3_128_digest, map(str.encode, values), repeat(seed)) for seed, values in enumerate(columns)
    ]
    return b"".join(chain.from_iterable(zip(*digests, strict=True)))


def _key(action_id: str) -> str:
    return f"dedupe:{action_id}"
