"""Uploads as files below one directory, which every worker must see (one machine, or a shared mount)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from app.adapters.storage.base import ObjectMissing, OutOfSpace, StorageWriter, StoredObject
from app.adapters.storage.ending import finish_despite_cancel

#: Where files grow until they get their names.
_PARTS = ".parts"


class LocalStorage:
    """Object storage in a directory. An object appears under its name only when it is complete and synced."""

    def __init__(self, directory: Path, *, reserve: int = 0) -> None:
        """Describe the storage; ``reserve`` is the space that is to stay free on its disk, bytes."""
        self._directory = directory
        self._reserve = reserve
        self._parts = directory / _PARTS

    @classmethod
    def from_uri(cls, uri: str, *, reserve: int = 0) -> LocalStorage:
        """Return the storage of ``file:///absolute/directory``."""
        return cls(Path(unquote(urlsplit(uri).path)), reserve=reserve)

    @contextlib.asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[StorageWriter]:
        """Open a new object; see :class:`~app.adapters.storage.base.Storage`."""
        with _full_disks():
            growing = _GrowingFile(self._directory, self._parts / uuid4().hex, self._path(key), self._reserve)
        try:
            yield growing
            await finish_despite_cancel(asyncio.to_thread(growing.publish))
        except BaseException:
            # Not awaited in a thread: a cancelled request must clean up as well.
            with contextlib.suppress(OSError):
                growing.discard()
            raise

    async def put(self, key: str, data: bytes) -> None:
        """Store a small object at once."""
        async with self.writer(key) as writer:
            await writer.write(data)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range of an object."""
        return await asyncio.to_thread(_read, self._path(key), start, end)

    async def delete(self, key: str) -> None:
        """Remove an object, and its directory when that is empty."""
        await asyncio.to_thread(_delete, self._path(key), self._directory)

    async def objects(self, after: str = "", limit: int = 1000, *, below: str = "") -> list[StoredObject]:
        """List objects in the order of their keys."""
        return await asyncio.to_thread(lambda: list(islice(_objects(self._directory, after, below), limit)))

    async def discard_unfinished(self, before: datetime, limit: int = 1000) -> int:
        """Remove files that got no name; what has grown since ``before`` stays."""
        return await asyncio.to_thread(_discard_unfinished, self._parts, before, limit)

    async def check(self) -> None:
        """Return when the directory can be listed and written."""
        await asyncio.to_thread(_check, self._parts)

    async def free_bytes(self) -> int | None:
        """Return the room on the disk that is left to us."""
        return await asyncio.to_thread(lambda: _free(os.statvfs(self._directory)))

    async def create(self) -> None:
        """Make the directory."""
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)

    async def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        return self._directory / key


def disk_space(directory: Path) -> tuple[int, int]:
    """Return how much room is free on the disk of a directory that may not be there yet, and its size, bytes."""
    there = next(one for one in (directory.absolute(), *directory.absolute().parents) if one.exists())
    disk = os.statvfs(there)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


class _GrowingFile:
    """An object while it is written."""

    def __init__(self, root: Path, part: Path, path: Path, reserve: int) -> None:
        self._root, self._part, self._path = root, part, path
        self._reserve = reserve
        self._published = False
        part.parent.mkdir(exist_ok=True)
        self._file = part.open("xb")

    async def write(self, block: bytes) -> None:
        await asyncio.to_thread(self._append, block)

    def _append(self, block: bytes) -> None:
        with _full_disks():
            if self._reserve and _free(os.fstatvfs(self._file.fileno())) - len(block) < self._reserve:
                raise OutOfSpace(f"less than {self._reserve} bytes would be free on the disk of the storage")
            self._file.write(block)

    def publish(self) -> None:
        """Give the object its name, when all of it is on the disk."""
        with _full_disks():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _make_below(self._root, self._path.parent)
            self._part.replace(self._path)
        self._published = True
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        """Take away what was written, also under its name if it has got that; never what another has written."""
        with contextlib.suppress(OSError):
            self._file.close()
        (self._path if self._published else self._part).unlink(missing_ok=True)


@contextlib.contextmanager
def _full_disks() -> Iterator[None]:
    """Tell a disk that is full, or a quota that is used up, from other faults."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(str(error)) from error
        raise


def _free(disk: os.statvfs_result) -> int:
    return disk.f_bavail * disk.f_frsize


def _make_below(root: Path, directory: Path) -> None:
    """Make a directory with those between it and the root, but never the root: somebody may have unmounted it."""
    if directory != root:
        _make_below(root, directory.parent)
        directory.mkdir(exist_ok=True)


def _read(path: Path, start: int, end: int | None) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            if end is None:
                file.seek(start)
                return file.readall() or b""
            data = os.pread(file.fileno(), end - start, start)
            while start + len(data) < end:
                more = os.pread(file.fileno(), end - start - len(data), start + len(data))
                if not more:
                    break
                data += more
            return data
    except FileNotFoundError:
        raise ObjectMissing(f"no stored object {path.name}") from None


def _delete(path: Path, root: Path) -> None:
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == root:
            break
        try:
            parent.rmdir()
        except OSError:
            break


def _check(parts: Path) -> None:
    parts.mkdir(exist_ok=True)
    if not os.access(parts, os.W_OK):
        raise PermissionError(f"{parts.parent} is not writable")


def _objects(root: Path, after: str, below: str) -> Iterator[StoredObject]:
    """Walk through the directory in the order of the keys, behind one of them; what vanishes meanwhile is left out."""

    def walk(directory: Path, prefix: str) -> Iterator[StoredObject]:
        try:
            with os.scandir(directory) as found:
                # A directory takes its place as the beginning of the keys below it.
                entries = [(f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}", entry) for entry in found]
        except FileNotFoundError:
            return
        for key, entry in sorted(entries, key=lambda pair: pair[0]):
            if key == f"{_PARTS}/":
                continue
            if key.endswith("/"):
                # Nothing below it can be behind ``after``, unless that is below it, too.
                if key > after or after.startswith(key):
                    yield from walk(Path(entry.path), key)
            elif key > after:
                with contextlib.suppress(FileNotFoundError):
                    yield StoredObject(key, datetime.fromtimestamp(entry.stat().st_mtime, UTC))

    return walk(root / below, below)


def _discard_unfinished(parts: Path, before: datetime, limit: int) -> int:
    discarded = 0
    try:
        with os.scandir(parts) as found:
            for entry in found:
                if discarded == limit:
                    break
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime < before.timestamp():
                        Path(entry.path).unlink()
                        discarded += 1
    except FileNotFoundError:
        pass
    return discarded
