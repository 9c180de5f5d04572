"""The identity of a storage: whether what STORAGE_URI names is the storage that the database knows.

A directory on which nothing is mounted, another mount or another prefix looks like a storage whose objects are
missing. So a storage carries a marker, an object with an id that the database has as well. Where the two do not agree,
the storage is not there now: an OSError, which is expected to pass, and never a missing object.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import uuid4

from app.adapters.storage.base import ObjectMissing, RawStorage, StorageWriter, StoredObject

#: Key of the marker. It is no key of an upload, so that it is never swept.
MARKER = ".storage-id"


class WrongStorage(OSError):
    """What STORAGE_URI names is not the storage that the database knows, or not there at all."""


class UnknownStorage(WrongStorage):
    """The database knows no storage yet."""


class StorageIdentity(NamedTuple):
    """What the database knows: the id, and whether a marker with it has been written."""

    storage_id: str
    marked: bool


class IdentityRegister(Protocol):
    """Where the identity is recorded. Every method raises what the database's driver raises while that is away."""

    async def recorded(self) -> StorageIdentity | None:
        """Return what is recorded."""

    async def propose(self, storage_id: str) -> StorageIdentity:
        """Record an id unless there is one; return the one that stands."""

    async def confirm(self, storage_id: str) -> None:
        """Record that the marker of this id has been written."""

    async def replace(self, storage_id: str) -> None:
        """Record another id, whose marker has been written."""

    async def known_keys(self) -> Sequence[str]:
        """Return the keys of some objects that actions of the database need; none: it has no actions."""

    async def knows_any(self, keys: Sequence[str]) -> bool:
        """Tell whether an object of one of these keys belongs to an action of the database."""


class IdentifiedStorage:
    """A storage that is used only while it is the one that the database knows.

    Reading an object costs nothing more: only when it seems to be missing the marker is looked at. A writer looks when
    it opens and before it publishes; lists and deletions look first.
    """

    def __init__(self, storage: RawStorage, uri: str, register: IdentityRegister) -> None:
        self._storage = storage
        self._uri = uri
        self._register = register
        self._id: str | None = None

    async def prepare(self) -> None:
        """Return when the storage can be used; one that the database does not know yet is made or taken over.

        Raises:
            OSError: it is away, or another one than the database knows.
        """
        identity = await self._register.recorded()
        if identity is None:
            identity = await self._register.propose(await self._take_over())
        if not identity.marked:
            # Whoever comes here writes the same id, so that it does not matter who died after which step.
            await self._mark(identity.storage_id)
            await self._register.confirm(identity.storage_id)
        await self.check()

    async def adopt(self) -> str:
        """Make the storage that is at the address now the one that the database knows; return its id.

        Raises:
            OSError: it cannot be reached or written.
        """
        storage_id = await self._marker()
        if storage_id is None:
            # A new id: a storage that is left behind is not to be taken for this one when it comes back.
            storage_id = uuid4().hex
            await self._mark(storage_id)
        await self._register.replace(storage_id)
        self._id = storage_id
        return storage_id

    @contextlib.asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[StorageWriter]:
        """Open a new object; see :class:`~app.adapters.storage.base.Storage`."""
        await self._verify()
        async with self._storage.writer(key) as writer:
            yield writer
            await self._verify()

    async def put(self, key: str, data: bytes) -> None:
        """Store a small object at once."""
        async with self.writer(key) as writer:
            await writer.write(data)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range of an object."""
        try:
            return await self._storage.read(key, start, end)
        except ObjectMissing:
            await self._verify()
        # It may have been away then and be back now. Only what is missing between two looks at the marker is missing.
        try:
            return await self._storage.read(key, start, end)
        except ObjectMissing:
            await self._verify()
            raise

    async def delete(self, key: str) -> None:
        """Remove an object."""
        await self._verify()
        await self._storage.delete(key)

    async def objects(self, after: str = "", limit: int = 1000, *, below: str = "") -> list[StoredObject]:
        """List objects in the order of their keys, without the marker."""
        await self._verify()
        # One more where the marker may be among them, so that fewer than ``limit`` still means that there are no more.
        found = await self._storage.objects(after, limit + (after < MARKER), below=below)
        return [stored for stored in found if stored.key != MARKER][:limit]

    async def discard_unfinished(self, before: datetime, limit: int = 1000) -> int:
        """Take away what was begun before a moment and never finished."""
        await self._verify()
        return await self._storage.discard_unfinished(before, limit)

    async def check(self) -> None:
        """Return when the storage can be used."""
        await self._verify()
        await self._storage.check()

    async def free_bytes(self) -> int | None:
        """Return how much room there is; see :class:`~app.adapters.storage.base.Storage`."""
        await self._verify()
        return await self._storage.free_bytes()

    async def close(self) -> None:
        """Release what the storage holds open."""
        await self._storage.close()

    async def _verify(self) -> None:
        """Return when the marker is that of the storage that the database knows.

        Raises:
            WrongStorage: it is not.
        """
        there = await self._marker()
        if there is not None and there == self._id:
            return
        # Read again, because an operator may have said in the meantime that another one is right.
        identity = await self._register.recorded()
        self._id = identity.storage_id if identity is not None and identity.marked else None
        if there is None or there != self._id:
            raise self._wrong(there)

    async def _marker(self) -> str | None:
        try:
            return (await self._storage.read(MARKER, 0, 64)).decode("ascii", "replace").strip()
        except ObjectMissing:
            return None

    async def _mark(self, storage_id: str) -> None:
        await self._storage.create()
        await self._storage.put(MARKER, storage_id.encode("ascii"))

    async def _take_over(self) -> str:
        """Return the id for a database that knows no storage, if the one at the address can be its own.

        Raises:
            WrongStorage: it is another database's, or not the one in which the files of this database are.
        """
        there = await self._marker()
        if known := await self._register.known_keys():
            # Made by a version without identities: it is the storage that has the files.
            if not any([await self._exists(key) for key in known]):
                raise WrongStorage(f"STORAGE_URI {self._uri} has none of the files that the database knows. {_MOVED}")
        elif there is not None:
            stored = [entry.key for entry in await self._storage.objects(MARKER, 1000)]
            if stored and not await self._register.knows_any(stored):
                raise WrongStorage(f"STORAGE_URI {self._uri} belongs to another database. {_ADOPT}")
        return there or uuid4().hex

    async def _exists(self, key: str) -> bool:
        try:
            await self._storage.read(key, 0, 1)
        except ObjectMissing:
            return False
        return True

    def _wrong(self, there: str | None) -> WrongStorage:
        if self._id is None:
            return UnknownStorage(f"STORAGE_URI {self._uri}: no worker has been started with this storage yet.")
        what = "no" if there is None else "another"
        return WrongStorage(
            f"STORAGE_URI {self._uri} has {what} {MARKER}: the database knows another storage. {_MOVED}"
        )


_ADOPT = "If it is the right one: python -m app storage adopt"
_MOVED = f"Is it mounted? {_ADOPT}"
