"""Live progress in Redis: the newest counters of an action, readable by every worker, and announced.

A convenience: the database has the truth, so a Redis that is away only makes progress look older.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import orjson
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from app.domain.live_counters import LiveCounters

log = logging.getLogger(__name__)

#: Seconds a snapshot outlives its last change.
_TTL = 3600
#: Where the ids of actions are announced of which anything has changed.
_CHANNEL = "progress"
#: Seconds to wait for an announcement before it is looked whether the connection is still there, and before a new one.
_WAIT, _PAUSE = 5.0, 1.0
#: Seconds that whoever changes an action waits at most until that is announced.
_ANNOUNCE = 1.0


class Snapshots:
    """The newest counters of actions that are under way."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, action_id: str, counters: LiveCounters) -> None:
        """Store and announce the counters of an action; a failure is logged and otherwise ignored."""
        payload = orjson.dumps(counters.to_document())
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.set(_key(action_id), payload, ex=_TTL)
                pipe.publish(_CHANNEL, action_id)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("live progress of %s not published: %s", action_id, error)
            if isinstance(error, ReadOnlyError):
                # A pipeline keeps its connection, here to what was the primary.
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def get(self, action_id: str) -> LiveCounters | None:
        """Return the newest counters; None when there are none or Redis is away."""
        try:
            payload = await self._redis.get(_key(action_id))
        except (RedisError, OSError) as error:
            log.warning("live progress of %s not read: %s", action_id, error)
            return None
        try:
            return LiveCounters.from_document(orjson.loads(payload)) if payload else None
        except (ValueError, TypeError, AttributeError):
            log.warning("live progress of %s is not ours", action_id)
            return None

    async def announce(self, action_id: str) -> None:
        """Say that an action has changed; a failure is logged and otherwise ignored, and so is a Redis that hangs."""
        try:
            async with asyncio.timeout(_ANNOUNCE):
                await self._redis.publish(_CHANNEL, f"!{action_id}")
        except (RedisError, OSError) as error:
            log.warning("a change of %s not announced: %r", action_id, error)

    async def changes(self) -> AsyncGenerator[tuple[str | None, bool], None]:
        """Yield the id of each action of which anything changes, and whether that is more than its counters.

        None stands for any action: what was announced while nobody listened is lost.
        """
        listener = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            while True:
                try:
                    await listener.subscribe(_CHANNEL)
                    yield None, True
                    while True:
                        message = await listener.get_message(timeout=_WAIT)
                        if message is not None:
                            action_id = message["data"].decode("ascii", "replace")
                            yield action_id.removeprefix("!"), action_id.startswith("!")
                except (RedisError, OSError) as error:
                    log.warning("no live progress: %s", error)
                    await asyncio.sleep(_PAUSE)
        finally:
            await listener.aclose()  # type: ignore[no-untyped-call]

    async def drop(self, action_id: str) -> None:
        """Forget the counters of an action that has ended; its document has them."""
        try:
            await self._redis.unlink(_key(action_id))
        except (RedisError, OSError) as error:
            log.warning("live progress of %s not dropped: %s", action_id, error)


def _key(action_id: str) -> str:
    return f"progress:{action_id}"
