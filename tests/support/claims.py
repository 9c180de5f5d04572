"""De-duplication claims as Redis keeps them, for looking, and those of version 0.1."""

from __future__ import annotations

from collections.abc import Iterable

from redis.asyncio import Redis


def owners_in(buckets: Iterable[bytes]) -> dict[bytes, int]:
    """The claims in these buckets: digest of the value → row."""
    return {
        bucket[at : at + 12]: int.from_bytes(bucket[at + 12 : at + 16], "little")
        for bucket in buckets
        for at in range(0, len(bucket), 16)
    }


async def store_old_claims(
    redis: Redis, action: str, *, state: str = "", buckets: int = 1, generation: str = "", **owned: int
) -> None:
    """Store claims as version 0.1 did: in each bucket a digest, and the row that owns the value."""
    prefix = f"dedupe:{action}:{generation}:" if generation else f"dedupe:{action}:"
    for bucket in range(buckets):
        await redis.hset(f"{prefix}{bucket}", mapping=dict(owned or {"a digest": 7}))
    await redis.set(f"dedupe:{action}", " ".join(part for part in (state, str(buckets), generation) if part))
    await redis.zadd("dedupe:expiry", {f"dedupe:{action}": 1})
