"""The client of Redis: how it connects, which of its errors pass, and which Redis will not do."""

from __future__ import annotations

import logging

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,
    DataError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from app.adapters.translation import Translation
from app.domain.diagnosis.redis import evicts
from app.domain.faults import Dependency, PassingFault, PermanentFault

log = logging.getLogger(__name__)

#: First words of errors that tell of the state of the server. The client has a class for some of them.
_STATES = (
    "OOM",
    "READONLY",
    "MISCONF",
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "TRYAGAIN",
    "UNBLOCKED",
)
#: The client takes the first word away where it has a class for it.
_AWAY = (OutOfMemoryError, ReadOnlyError, BusyLoadingError, ClusterDownError, TryAgainError)
#: How errors begin that are our own mistake: the same command will never do.
_MISTAKES = (
    "WRONGTYPE",
    "wrong number of arguments",
    "syntax error",
    "value is not",
    "Error compiling script",
    "user_script:",
)
#: After these a connection is closed, and the address looked up anew: what was the primary may be a replica now.
RECONNECT = (ConnectionError, TimeoutError, ReadOnlyError)


class UnfitRedis(RuntimeError):
    """This Redis cannot keep what it is given, or keeps it elsewhere: no waiting will change that."""


def open_redis(uri: str) -> Redis:
    """Return a client; nothing is connected yet.

    A connection whose server has become a replica is closed and opened anew, so that the address of the new primary
    is looked up. A command is tried twice only: whoever gave it tries again himself, and must not hang here.
    """
    return Redis.from_url(
        uri,
        socket_timeout=10,
        socket_connect_timeout=5,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 1, RECONNECT),
    )


def means_away(error: RedisError) -> bool:
    """Tell whether an error speaks of the state of the server: full, loading, a replica, without a quorum."""
    if isinstance(error, _AWAY):
        return True
    if not isinstance(error, ResponseError):
        return False
    text = str(error)
    # Servers before version 7 quote the error of a command in a script: "Error running script (...): -OOM ...".
    return text.startswith(_STATES) or any(f"-{state} " in text for state in _STATES)


def _is_mistake(error: RedisError) -> bool:
    """Tell whether the command itself is wrong, so that it will never do."""
    if isinstance(error, NoScriptError | ClusterCrossSlotError | DataError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_MISTAKES)


def _fault_of(error: RedisError) -> PassingFault | PermanentFault:
    away = means_away(error)
    if not away and _is_mistake(error):
        return PermanentFault(str(error), Dependency.CACHE)
    return PassingFault(str(error), Dependency.CACHE, away=away)


REDIS = Translation(RedisError, fault_of=_fault_of)


async def refuse_unfit(redis: Redis) -> None:
    """Return when the server answers and will do.

    Raises:
        UnfitRedis: it is a cluster, or forgets what it was given when it is full.
        redis.exceptions.RedisError: it does not answer, or does not know us.
    """
    try:
        await redis.ping()
        found = {**await redis.info("cluster"), **await redis.info("memory")}
    except AuthenticationError as error:
        raise AuthenticationError(f"it refuses the user or the password of REDIS_URI: {error}") from None
    except NoPermissionError as error:
        log.warning("Redis does not let us look at its configuration, which must not evict keys: %s", error)
        return
    if int(found.get("cluster_enabled", 0)):
        raise UnfitRedis("REDIS_URI names a Redis in cluster mode, and one without it is needed")
    policy = str(found.get("maxmemory_policy", "noeviction"))
    if evicts(policy, int(found.get("maxmemory", 0))):
        raise UnfitRedis(f"Redis forgets keys when it is full: maxmemory-policy is {policy}, and must be noeviction")
