"""What workers depend on goes away for a while: the outages of the fault tests and of the soak.

Each way is a context manager: the thing is away inside and back, with its data, when it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import redis

from stack import Instance, Stack

#: A port on which nothing listens and no server of ours ever will.
_NOBODY = 1


@contextmanager
def killed(service: Instance) -> Iterator[None]:
    """SIGKILL, and a new start at the end."""
    service.kill()
    try:
        yield
    finally:
        service.start()


@contextmanager
def stopped(service: Instance) -> Iterator[None]:
    """SIGTERM, and a new start at the end."""
    service.stop()
    try:
        yield
    finally:
        service.start()


@contextmanager
def hanging(service: Instance) -> Iterator[None]:
    """It keeps its connections, takes new ones, and answers nothing."""
    service.pause()
    try:
        yield
    finally:
        service.resume()


@contextmanager
def full(service: Instance) -> Iterator[None]:
    """Redis has no memory for another write and answers with OOM; reads go on."""
    with redis.Redis.from_url(service.uri) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def read_only(service: Instance) -> Iterator[None]:
    """Redis is the replica of a primary that is away: it answers writes with READONLY, as after a failover."""
    with redis.Redis.from_url(service.uri) as client:
        client.replicaof("127.0.0.1", _NOBODY)
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def unreadable(storage: Path) -> Iterator[None]:
    """Every access to the storage is an error."""
    # Renamed rather than without permissions, which would not stop root.
    hidden = storage.rename(storage.with_name("hidden"))
    storage.touch()
    try:
        yield
    finally:
        storage.unlink()
        hidden.rename(storage)


@contextmanager
def unmounted(storage: Path) -> Iterator[None]:
    """Where the storage was mounted is an empty directory."""
    hidden = storage.rename(storage.with_name("hidden"))
    storage.mkdir()
    try:
        yield
    finally:
        # Whatever was written to the wrong place stays beside it, for a look.
        storage.rename(storage.with_name(f"written while unmounted {len(list(storage.parent.iterdir()))}"))
        hidden.rename(storage)


#: What goes away and how → a way to do it, given the services and the directory of the storage.
OUTAGES: dict[str, Callable[[Stack, Path], AbstractContextManager[None]]] = {
    "broker killed": lambda stack, _: killed(stack["kafka"]),
    "broker hangs": lambda stack, _: hanging(stack["kafka"]),
    "database killed": lambda stack, _: killed(stack["mongo"]),
    "database stopped": lambda stack, _: stopped(stack["mongo"]),
    "database hangs": lambda stack, _: hanging(stack["mongo"]),
    "Redis killed": lambda stack, _: killed(stack["redis"]),
    "Redis hangs": lambda stack, _: hanging(stack["redis"]),
    "Redis full": lambda stack, _: full(stack["redis"]),
    "Redis read-only": lambda stack, _: read_only(stack["redis"]),
    "storage unreadable": lambda _, storage: unreadable(storage),
    "storage unmounted": lambda _, storage: unmounted(storage),
}
