"""Before the first service starts: what the worker depends on answers, and is prepared."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable

from app.adapters.redis.client import UnfitRedis
from app.context import AppContext
from app.kafka.admin import WrongPartitions, create_topics
from app.kafka.broker_access import BrokerRefuses, check_access
from app.kafka.security import client_options

log = logging.getLogger(__name__)

#: What no waiting mends: a setting is wrong.
REFUSALS = (WrongPartitions, BrokerRefuses, UnfitRedis)

#: Between two attempts on a dependency that is away, seconds.
_PAUSE = 1.0


async def prepare(context: AppContext) -> None:
    """Wait for every dependency, and create indexes and topics; a worker that is to stop waits no longer.

    Raises:
        BrokerRefuses: a broker answers and does not let us in.
        WrongPartitions: a topic exists with another number of partitions than the settings say.
        UnfitRedis: this Redis would lose what it is given.
    """
    settings, topics = context.settings, context.topics

    security = client_options(settings)

    async def kafka() -> None:
        await check_access(settings.brokers, security)
        await create_topics(
            settings.brokers,
            [channel.name for channel in topics.all],
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
            security=security,
            internal=topics.of_faust,
        )

    async def database_and_storage() -> None:
        await _until_ready("MongoDB (MONGO_DB_URI)", context.store.prepare, context)
        # Behind it, because the database knows which storage is the right one.
        await _until_ready("the storage", context.storage.prepare, context)

    await asyncio.gather(
        database_and_storage(),
        _until_ready("Redis (REDIS_URI)", context.redis.prepare, context),
        _until_ready("Kafka (KAFKA_BROKER)", kafka, context),
    )


def is_loopback(host: str) -> bool:
    """Tell whether nobody reaches this address from another machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server can listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


async def _until_ready(name: str, step: Callable[[], Awaitable[None]], context: AppContext) -> None:
    waited = False
    while not context.should_yield():
        try:
            await step()
        except REFUSALS:
            raise
        except Exception as error:
            waited = True
            log.warning("waiting for %s: %s", name, str(error) or repr(error))
            await asyncio.sleep(_PAUSE)
        else:
            if waited:
                log.info("%s is there", name)
            return
