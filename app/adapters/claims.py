"""De-duplication claims in Redis: inside an action one row owns a record.

The hash ``dedupe:{actionId}`` maps each key value to the row that owns it. A whole chunk claims in one round
trip, atomically; a chunk that claims again finds its own rows as the owners and so changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from redis.asyncio import Redis

# A row may have several key values (its id, its unique field). It owns all of them or claims none.
_CLAIM = """
local hash, ttl, rows = KEYS[1], tonumber(ARGV[1]), cjson.decode(ARGV[2])
if redis.call('HEXISTS', hash, 'released') == 1 then return 'released' end
local taken = {}
for position, entry in ipairs(rows) do
  local row, claimed, owner = entry[1], {}, nil
  for field = 2, #entry do
    if redis.call('HSETNX', hash, entry[field], row) == 1 then
      claimed[#claimed + 1] = entry[field]
    else
      local present = redis.call('HGET', hash, entry[field])
      if present ~= row and (not owner or tonumber(present) < owner) then owner = tonumber(present) end
    end
  end
  if owner then
    for _, field in ipairs(claimed) do redis.call('HDEL', hash, field) end
    taken[#taken + 1] = {position - 1, owner}
  end
end
redis.call('EXPIRE', hash, ttl)
return cjson.encode(taken)
"""

# What is left behind stops a worker that slept through the end of the action from claiming anew.
_RELEASE = """
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'released', 1)
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[1]))
"""


class ClaimsReleased(Exception):
    """The action has ended: no row of it may claim a record any more."""


class Claims:
    """Claims of rows on the records they are to write."""

    def __init__(self, redis: Redis, *, ttl: int) -> None:
        self._ttl = ttl
        self._claim = redis.register_script(_CLAIM)
        self._release = redis.register_script(_RELEASE)

    async def claim(self, action_id: str, rows: Sequence[tuple[str, ...]]) -> dict[int, int]:
        """Claim key values for rows.

        Args:
            action_id: the action within which values are unique.
            rows: for each row its number as text, then its key values, each with a prefix that names its kind.

        Returns:
            For the rows that own nothing: position in ``rows`` → number of the row that owns the value.

        Raises:
            ClaimsReleased: the action has ended.
            redis.exceptions.RedisError: Redis cannot be reached; asking again is safe.
        """
        if not rows:
            return {}
        reply = await self._claim(keys=[_key(action_id)], args=[self._ttl, orjson.dumps(rows)])
        if reply == b"released":
            raise ClaimsReleased(action_id)
        # An empty Lua table is encoded as an object.
        return dict(orjson.loads(reply)) if reply != b"{}" else {}

    async def release(self, action_id: str) -> None:
        """Forget the claims of an action that has ended, and take no more of it."""
        await self._release(keys=[_key(action_id)], args=[self._ttl])


def _key(action_id: str) -> str:
    return f"dedupe:{action_id}"
