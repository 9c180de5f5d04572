"""What the platform asks of an object storage."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class ObjectMissing(LookupError):
    """There is no object of that key: asking again will not help."""


class StorageWriter(Protocol):
    """An object being written; it exists, whole, once its context is left without an exception."""

    async def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            OSError: the storage cannot be reached or is full.
        """


class Storage(Protocol):
    """Objects by key. Keys are ``/``-separated words that the platform itself makes, never a user."""

    def writer(self, key: str) -> AbstractAsyncContextManager[StorageWriter]:
        """Open a new object for writing; an exception inside the context leaves nothing behind."""

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

    async def check(self) -> None:
        """Return when the storage can be used.

        Raises:
            OSError: it cannot.
        """

    async def close(self) -> None:
        """Release what the storage holds open."""
