"""Before the first service starts: what the worker depends on answers, and is prepared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.adapters.broker import WrongPartitions, create_topics
from app.platform import Platform

log = logging.getLogger(__name__)

#: Between two attempts on a dependency that is away, seconds.
_PAUSE = 1.0


async def prepare(platform: Platform) -> None:
    """Wait for every dependency, and create indexes and topics.

    Raises:
        WrongPartitions: a topic exists with another number of partitions than the settings say.
    """
    settings, topics = platform.settings, platform.topics

    async def kafka() -> None:
        await create_topics(
            settings.brokers,
            [channel.name for channel in topics.all],
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
        )

    async def redis() -> None:
        await platform.redis.ping()

    await asyncio.gather(
        _until_ready("MongoDB", platform.store.prepare),
        _until_ready("Redis", redis),
        _until_ready("the storage", platform.storage.check),
        _until_ready("Kafka", kafka),
    )


async def _until_ready(name: str, step: Callable[[], Awaitable[None]]) -> None:
    waited = False
    while True:
        try:
            await step()
        except WrongPartitions:
            raise
        except Exception as error:
            waited = True
            log.warning("waiting for %s: %s", name, str(error) or repr(error))
            await asyncio.sleep(_PAUSE)
        else:
            if waited:
                log.info("%s is there", name)
            return
