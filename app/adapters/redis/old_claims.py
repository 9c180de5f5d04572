"""Claims as version 0.1 kept them: many hashes ``dedupe:{actionId}:{bucket}``, each with digests and their rows.

They count as released, so that they are rebuilt where they are needed; what is left to do is to delete them.
"""

from __future__ import annotations

import re

from redis.asyncio import Redis

#: The value of ``dedupe:{actionId}``: state (nothing: open), number of buckets, generation (nothing: the first).
_VALUE = re.compile(rb"[a-z]* ?(\d+) ?(\d*)")
_BUCKETS_PER_COMMAND = 1000


async def unlink_old_claims(redis: Redis, key: str) -> None:
    """Delete claims of that form, if there are any.

    The value stays as it is: it is by this that the rest is found when the deletion is interrupted.

    Args:
        redis: where they are.
        key: ``dedupe:{actionId}``.
    """
    value: bytes | None = await redis.get(key)  # type: ignore[assignment]
    found = _VALUE.fullmatch(value or b"")
    if found is None:
        return
    buckets, generation = int(found[1]), found[2].decode()
    prefix = f"{key}:{generation}:" if generation else f"{key}:"
    for first in range(0, buckets, _BUCKETS_PER_COMMAND):
        last = min(first + _BUCKETS_PER_COMMAND, buckets)
        await redis.unlink(*(f"{prefix}{bucket}" for bucket in range(first, last)))
