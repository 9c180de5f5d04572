"""De-duplication claims in Redis: inside an action one row owns a record.

A claim maps a digest of a key value (12 bytes of XXH3-128) to the row that owns it. All claims of an action are
spread over hashes ``dedupe:{actionId}:{bucket}``, so many that each stays small enough for Redis to pack its entries
into one piece of memory: about 25 bytes per value instead of 75. ``dedupe:{actionId}`` itself holds the state of the
claims, the number of buckets, and the generation of their keys. ``dedupe:expiry`` says when the claims of each action
are to be forgotten if it never ends: to give each bucket its own expiry would double the work of a claim.

Claims are *open* while their action runs, *closed* from its end on (complete, but no row may claim), and *released*
when they are forgotten. Where released claims turn out to be needed they are rebuilt, under keys of a new generation,
because somebody may still be deleting the old ones; while that goes on, only the rebuilding may claim.

A whole chunk claims in one round trip, atomically; a chunk that claims again finds its own rows as the owners and so
changes nothing. Two of 10 million different values have the same digest with a probability of 10^-15: then one row
would be taken for a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, Literal

import numpy as np
import orjson
from redis.asyncio import Redis
from xxhash import xxh3_128_digest

from app.adapters.redis.client import REDIS

#: Redis packs hashes of up to 128 entries (hash-max-listpack-entries); buckets fill unevenly.
_VALUES_PER_BUCKET = 64
_BUCKETS_PER_COMMAND = 1000
_SWEPT_AT_ONCE = 10
_EXPIRY = "dedupe:expiry"

# The value of dedupe:{actionId}: the state (nothing: open), the number of buckets, the generation (nothing: the first).
_READ = r"""
local function read(action)
  local value = redis.call('GET', action)
  if not value then return nil end
  local state, buckets, generation = string.match(value, '^(%a*) ?(%d+) ?(%d*)$')
  local prefix = action .. ':'
  if generation ~= '' then prefix = prefix .. generation .. ':' end
  return state, tonumber(buckets), generation, prefix
end
local function write(action, state, buckets, generation, ...)
  local value = tostring(buckets)
  if state ~= '' then value = state .. ' ' .. value end
  if generation ~= '' then value = value .. ' ' .. generation end
  redis.call('SET', action, value, ...)
end
-- A full Redis refuses what needs memory, unless the script has written already: an end is to give memory back.
local function replace(action, ...)
  redis.call('DEL', action)
  write(action, ...)
end
"""

# A row may have several key values (its id, its unique field). It owns all of them or claims none.
_CLAIM = (
    _READ
    + """
local action, ttl, width = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3])
local rows, digests, allowed = ARGV[4], ARGV[5], ARGV[6]
local state, buckets, generation, prefix = read(action)
if not state and allowed == '' then
  write(action, '', ARGV[2], '')
  state, buckets, generation, prefix = read(action)
end
if state ~= allowed and not (state == '' and allowed == 'closed') then return 'released' end
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ttl, action)
local call, sub, unpack, format = redis.call, string.sub, struct.unpack, string.format
local taken, at = {}, 1
for position = 0, #rows / 8 - 1 do
  local row = format('%.0f', (unpack('<d', rows, position * 8 + 1)))
  local claimed, owner = {}, nil
  for _ = 1, width do
    local digest = sub(digests, at, at + 11)
    local bucket = prefix .. (unpack('<I4', digests, at + 12)) % buckets
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
)

# What is left behind stops a worker that slept through the end of the action from claiming anew. It still tells the
# number of buckets, for a release that is repeated because the first was interrupted.
_RELEASE = (
    _READ
    + """
local state, buckets, generation, prefix = read(KEYS[1])
replace(KEYS[1], 'released', buckets or 0, generation or '', 'EX', ARGV[1])
return {buckets or 0, prefix or ''}
"""
)

# From one state to another: ARGV are the first, the second, and if need be the generation; tells whether it is there.
_MOVE = (
    _READ
    + """
local state, buckets, generation = read(KEYS[1])
if not state or (ARGV[3] and ARGV[3] ~= generation) then return 0 end
if state == ARGV[1] then
  replace(KEYS[1], ARGV[2], buckets, generation)
  return 1
end
return state == ARGV[2] and 1 or 0
"""
)

# Where nothing was claimed, nothing may be from now on.
_CLOSE = (
    _READ
    + """
local state, buckets, generation = read(KEYS[1])
if not state then
  replace(KEYS[1], 'released', 0, '', 'EX', ARGV[1])
elseif state == '' then
  replace(KEYS[1], 'closed', buckets, generation)
end
"""
)

# ARGV: the time to live, seconds, and the number of buckets if there were none. Returns the new generation, and where
# the old claims are.
_BEGIN_REBUILD = (
    _READ
    + """
local _, old, generation, prefix = read(KEYS[1])
generation = tostring((tonumber(generation or '') or 0) + 1)
local buckets = (old or 0) > 0 and old or ARGV[2]
write(KEYS[1], 'rebuilding', buckets, generation)
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ARGV[1], KEYS[1])
return {generation, old or 0, prefix or ''}
"""
)


#: In which state claims may be for a claim: by a chunk of an action under way, for a chunk of an action that has ended
#: (or is under way), and by whoever rebuilds them.
ClaimState = Literal["open", "closed", "rebuilding"]


class ClaimsReleased(Exception):
    """The claims of the action are not to be had: it has ended, or they are being rebuilt."""


@REDIS.at_border
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
        self._move = redis.register_script(_MOVE)
        self._close = redis.register_script(_CLOSE)
        self._begin_rebuild = redis.register_script(_BEGIN_REBUILD)

    async def claim(
        self,
        action_id: str,
        row_count: int,
        rows: Sequence[int],
        columns: Sequence[Sequence[str]],
        *,
        state: ClaimState = "open",
    ) -> dict[int, int]:
        """Claim key values for rows.

        Args:
            action_id: the action within which values are unique, column by column.
            row_count: how many rows the whole action has, about.
            rows: the numbers of the rows.
            columns: for each kind of key the values of these rows.
            state: in which state the claims may be; only open ones are made when there are none yet.

        Returns:
            For the rows that own nothing: position in ``rows`` → number of the row that owns the value.

        Raises:
            ClaimsReleased: they are in another state.
            app.domain.faults.DependencyFault: Redis cannot be reached; asking again is safe.
        """
        if not rows:
            return {}
        numbers = np.array(rows, "<f8").tobytes()
        allowed = "" if state == "open" else state
        reply = await self._claim(
            keys=[_key(action_id), _EXPIRY],
            args=[self._ttl, _buckets(row_count, len(columns)), len(columns), numbers, _digests(columns), allowed],
        )
        if reply == b"released":
            raise ClaimsReleased(action_id)
        # An empty Lua table is encoded as an object.
        return {position: int(owner) for position, owner in orjson.loads(reply)} if reply != b"{}" else {}

    async def close(self, action_id: str) -> None:
        """Take no more claims of an action that has ended; those that were made stay."""
        await self._close(keys=[_key(action_id)], args=[self._ttl])

    async def reopen(self, action_id: str) -> bool:
        """Take claims again; False when they are gone and must be rebuilt."""
        return bool(await self._move(keys=[_key(action_id)], args=["closed", ""]))

    async def release(self, action_id: str) -> None:
        """Forget the claims of an action that has ended, and take no more of it."""
        await self._forget(_key(action_id))

    async def are_gone(self, action_id: str) -> bool:
        """Tell whether claims were made and forgotten, or a rebuilding of them was never finished."""
        state: bytes | None = await self._redis.get(_key(action_id))  # type: ignore[assignment]
        return state is not None and state.startswith((b"released", b"rebuilding"))

    async def begin_rebuild(self, action_id: str, row_count: int, kinds: int) -> str:
        """Begin claims anew, which only the caller may make at first; return their generation.

        Args:
            action_id: the action.
            row_count: how many rows it has.
            kinds: how many kinds of key.
        """
        generation, buckets, prefix = await self._begin_rebuild(
            keys=[_key(action_id), _EXPIRY], args=[self._ttl, _buckets(row_count, kinds)]
        )
        # What an interrupted release has left would be found by nobody any more.
        await self._unlink(prefix, buckets)
        return str(generation, "ascii")

    async def finish_rebuild(self, action_id: str, generation: str) -> bool:
        """Open the rebuilt claims; False when somebody else has begun to rebuild them since."""
        return bool(await self._move(keys=[_key(action_id)], args=["rebuilding", "", generation]))

    async def sweep(self) -> None:
        """Forget the claims of actions that have not claimed for so long that they will not end any more."""
        now = int((await self._redis.time())[0])
        old: Any = await self._redis.zrange(_EXPIRY, "-inf", now, byscore=True, offset=0, num=_SWEPT_AT_ONCE)
        for key in old:
            await self._forget(key.decode())

    async def _forget(self, key: str) -> None:
        buckets, prefix = await self._release(keys=[key], args=[self._ttl])
        await self._unlink(prefix, buckets)
        # Last, so that what an interrupted release leaves is swept.
        await self._redis.zrem(_EXPIRY, key)

    async def _unlink(self, prefix: bytes, buckets: int) -> None:
        for first in range(0, buckets, _BUCKETS_PER_COMMAND):
            last = min(first + _BUCKETS_PER_COMMAND, buckets)
            await self._redis.unlink(*(prefix + b"%d" % bucket for bucket in range(first, last)))


def _buckets(row_count: int, kinds: int) -> int:
    return max(1, row_count * kinds // _VALUES_PER_BUCKET)


def _digests(columns: Sequence[Sequence[str]]) -> bytes:
    """The digests of all values, row by row: 12 bytes that name the value, 4 that choose its bucket."""
    # The seed keeps an id and an e-mail address that look alike apart.
    digests: list[Iterator[bytes]] = [
        map(xxh3_128_digest, map(str.encode, values), repeat(seed)) for seed, values in enumerate(columns)
    ]
    return b"".join(chain.from_iterable(zip(*digests, strict=True)))


def _key(action_id: str) -> str:
    return f"dedupe:{action_id}"
