"""What is looked at of the storage, and of the disks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from app.adapters.storage import IdentifiedStorage, ObjectMissing, UnknownStorage, disk_space
from app.domain.diagnosis.clocks import judge_clock
from app.domain.diagnosis.disks import judge_disk
from app.domain.diagnosis.findings import Finding, ok, problem, warning
from app.services.doctor.check import Check
from app.settings import Settings

_REACH = "mount what STORAGE_URI names, or correct it"
_MAY = "allow writing, reading, listing and deleting there (S3: PutObject, GetObject, ListBucket, DeleteObject)"
#: Where probes are. They are no uploads; one that is left behind when the doctor is killed does no harm.
_PROBES = "doctor/"
#: Room that a worker's tables should have, bytes.
_TABLES_RESERVE = 256 * 1024**2


def storage_checks(storage: IdentifiedStorage) -> list[Check]:
    """Return the checks of a storage."""

    async def identity() -> Finding:
        began = time.monotonic()
        try:
            await storage.check()
        except UnknownStorage:
            return warning("no worker has been started with it yet", "start a worker, which makes it or takes it over")
        return ok(f"is the one that the database knows, answers within {(time.monotonic() - began) * 1000:.0f} ms")

    async def permissions() -> Finding:
        return await _use(storage)

    async def clock() -> Finding:
        key = f"{_PROBES}{uuid4().hex}"
        before = time.time()
        await storage.put(key, b"clock")
        after = time.time()
        try:
            found = {stored.key: stored.modified for stored in await storage.objects(below=_PROBES)}
        finally:
            await storage.delete(key)
        if key not in found:
            return problem("an object that was just stored is not listed", _MAY)
        # Servers cut their times to the second.
        return judge_clock(found[key].timestamp(), before, after, precision=1.0)

    return [
        Check("storage", identity, _REACH),
        Check("storage permissions", permissions, _MAY),
        Check("storage clock", clock, _MAY),
    ]


async def _use(storage: IdentifiedStorage) -> Finding:
    """Do with an object all that is done with uploads."""
    key, data = f"{_PROBES}{uuid4().hex}", b"0123456789"
    await storage.put(key, data)
    try:
        if await storage.read(key) != data or await storage.read(key, 2, 5) != data[2:5]:
            return problem("reads back something else than was stored", "look at what is between us and the storage")
        if key not in {stored.key for stored in await storage.objects(below=_PROBES)}:
            return problem("an object that was just stored is not listed", _MAY)
    finally:
        await storage.delete(key)
    try:
        await storage.read(key)
    except ObjectMissing:
        return ok("stores, reads, reads ranges, lists and deletes")
    return problem("an object that was deleted is still there", "look at what is between us and the storage")


def disk_checks(settings: Settings) -> list[Check]:
    """Return the checks of the disks of this machine."""
    checks = []
    if settings.storage_uri.startswith("file:"):
        directory = Path(unquote(urlsplit(settings.storage_uri).path))
        checks.append(_disk("disk of uploads", directory, settings.storage_reserve_bytes, "STORAGE_URI"))
    checks.append(_disk("disk of tables", settings.data_dir, _TABLES_RESERVE, "DATA_DIR"))
    return checks


def _disk(name: str, directory: Path, reserve: int, setting: str) -> Check:
    async def look() -> Finding:
        free, total = await asyncio.to_thread(disk_space, directory)
        return judge_disk(free, total, reserve, setting=setting)

    return Check(name, look, f"make the directory of {setting} readable")
