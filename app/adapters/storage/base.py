"""What the platform asks of an object storage."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from app.domain.faults import Dependency, PermanentFault


class ObjectMissing(PermanentFault, LookupError):
    """There is no object of that key: asking again will not help."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, Dependency.STORAGE)


class OutOfSpace(OSError):
    """The storage has no room for what is to be stored; nobody need send it again before somebody has made room."""


class StoredObject(NamedTuple):
    """An object in a list: its key, and the moment before which it was begun or after which it is unchanged."""

    key: str
    modified: datetime


class StorageWriter(Protocol):
    """An object being written; it exists, whole, once its context is left without an exception."""

    async def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            OutOfSpace: the storage is full.
            OSError: the storage cannot be reached.
        """


class Storage(Protocol):
    """Objects by key. Keys are ``/``-separated words that the platform itself makes, never a user."""

    def writer(self, key: str) -> AbstractAsyncContextManager[StorageWriter]:
        """Open a new object for writing; an exception inside the context leaves nothing behind.

        Raises:
            OSError: the storage cannot be reached or is full.
        """

    async def put(self, key: str, data: bytes) -> None:
        """Store a small object at once, in place of one of the same key."""

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return bytes ``start`` to ``end`` (exclusive) of an object; to its end when ``end`` is None.

        Raises:
            ObjectMissing: no such object.
            OSError: the storage cannot be reached.
        """

    async def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""

    async def objects(self, after: str = "", limit: int = 1000, *, below: str = "") -> list[StoredObject]:
        """List up to ``limit`` objects in the order of their keys, behind the key ``after``; fewer: there are no more.

        ``below``: only those whose keys begin so; it ends with a ``/``.

        Raises:
            OSError: the storage cannot be reached, or does not let us look.
        """

    async def discard_unfinished(self, before: datetime, limit: int = 1000) -> int:
        """Take away up to ``limit`` objects that were begun before a moment and never finished; return how many.

        It is for the caller to be sure that nobody is still writing what was begun so long ago.

        Raises:
            OSError: the storage cannot be reached, or does not let us look.
        """

    async def check(self) -> None:
        """Return when the storage can be used.

        Raises:
            OSError: it cannot.
        """

    async def free_bytes(self) -> int | None:
        """Return how much room there is; None: it has no end that anybody knows of.

        Raises:
            OSError: the storage cannot be reached.
        """

    async def close(self) -> None:
        """Release what the storage holds open."""


class RawStorage(Storage, Protocol):
    """Objects wherever the address leads: :class:`~app.adapters.storage.identity.IdentifiedStorage` knows whether that
    is the right place."""

    async def create(self) -> None:
        """Make the place of the objects, where that is for us to make; no other method does.

        Raises:
            OSError: it cannot be made.
        """
