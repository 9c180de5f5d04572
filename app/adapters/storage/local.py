"""Uploads as files below one directory, which every worker must see (one machine, or a shared mount)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from app.adapters.storage.base import ObjectMissing, StorageWriter
from app.adapters.storage.ending import to_the_end


class LocalStorage:
    """Object storage in a directory. An object appears under its name only when it is complete and synced."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._parts = directory / ".parts"

    @classmethod
    def from_uri(cls, uri: str) -> LocalStorage:
        """Return the storage of ``file:///absolute/directory``."""
        return cls(Path(unquote(urlsplit(uri).path)))

    @contextlib.asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[StorageWriter]:
        """Open a new object; see :class:`~app.adapters.storage.base.Storage`."""
        part, path = self._parts / uuid4().hex, self._path(key)
        file = _create(part)
        try:
            yield _LocalWriter(file)
            await to_the_end(asyncio.to_thread(_publish, file, part, path))
        except BaseException:
            # Not awaited in a thread: a cancelled request must clean up as well.
            with contextlib.suppress(OSError):
                file.close()
            if part.exists():
                part.unlink()
            else:
                path.unlink(missing_ok=True)
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

    async def check(self) -> None:
        """Return when the directory can be listed and written."""
        await asyncio.to_thread(_check, self._parts)

    async def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        return self._directory / key


class _LocalWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def write(self, block: bytes) -> None:
        await asyncio.to_thread(self._file.write, block)


def _create(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb")


def _publish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


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
    parts.mkdir(parents=True, exist_ok=True)
    if not os.access(parts, os.W_OK):
        raise PermissionError(f"{parts.parent} is not writable")
