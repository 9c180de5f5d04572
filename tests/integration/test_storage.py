"""Object storage: one suite for every implementation. An object is there whole, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from app.adapters.storage import LocalStorage, ObjectMissing, OutOfSpace, Storage, open_storage
from app.adapters.storage.identity import MARKER
from app.adapters.storage.s3 import _faults as s3_faults
from tests.support.buckets import Bucket
from tests.support.fakes import MemoryRegister
from tests.support.paths import ROOT

KEY = "0123456789abcdef01234567/upload.csv"
DATA = bytes(range(256)) * 5


@dataclass
class Place:
    """A storage, and a look at what is in it past its interface: every object and every leftover, by name."""

    storage: Storage
    contents: Callable[[], set[str]]


@asynccontextmanager
async def local(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    root = Path(request.getfixturevalue("tmp_path")) / "not yet there" / "üploads"
    storage = open_storage(root.as_uri(), {}, MemoryRegister())
    await storage.prepare()
    yield Place(storage, lambda: {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {MARKER})
    await storage.close()


@asynccontextmanager
async def s3(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    bucket = Bucket(request.getfixturevalue("s3"))
    storage = bucket.storage()
    await storage.prepare()
    yield Place(storage, bucket.contents)
    await storage.close()
    bucket.close()


#: Every implementation: a context with a fresh, empty storage.
PLACES: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Place]]] = {"local": local, "s3": s3}


@pytest.fixture(params=sorted(PLACES))
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with PLACES[request.param](request) as made:
        yield made


@pytest.fixture
def storage(place: Place) -> Storage:
    return place.storage


async def write(storage: Storage, key: str, *blocks: bytes) -> None:
    async with storage.writer(key) as writer:
        for block in blocks:
            await writer.write(block)


# Writing and reading


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [b""],
        [DATA],
        [DATA[:1], DATA[1:700], b"", DATA[700:]],
        [b"x" * 6 * 1024**2, b"y" * 1024**2],
        [b"x" * 7 * 1024**2, b"y" * 1024**2],
        [bytes([number]) * 1024**2 for number in range(17)],
        [b"x" * 16 * 1024**2 + b"y"],
    ],
    ids=lambda blocks: f"{len(blocks)} blocks of {sum(map(len, blocks))} bytes",
)
async def test_object_is_its_blocks(storage: Storage, blocks: list[bytes]) -> None:
    """An object is the blocks that were written."""
    await write(storage, KEY, *blocks)
    assert await storage.read(KEY) == b"".join(blocks)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 0), (0, 1), (5, 5), (5, 700), (1279, 1280), (700, None), (0, 1280), (1000, 9999), (1280, None)],
)
async def test_range_is_its_bytes(storage: Storage, start: int, end: int | None) -> None:
    """A range is its bytes, and ends with the object."""
    await storage.put(KEY, DATA)
    assert await storage.read(KEY, start, end) == DATA[start:end]


async def test_a_range_behind_the_end_is_empty(storage: Storage) -> None:
    await storage.put(KEY, DATA)
    assert await storage.read(KEY, 5000, 6000) == b""


async def test_ranges_make_the_object(storage: Storage) -> None:
    """Many ranges at once make the object again."""
    data = os.urandom(3_000_000)
    await storage.put(KEY, data)
    bounds = [*range(0, len(data), 70_001), len(data)]
    parts = await asyncio.gather(*(storage.read(KEY, a, b) for a, b in pairwise(bounds)))
    assert b"".join(parts) == data


async def test_put_replaces_the_object(place: Place) -> None:
    """Put stores at once, and in place of what was there."""
    await place.storage.put(KEY, DATA)
    await place.storage.put(KEY, b"short")
    assert await place.storage.read(KEY) == b"short"
    assert place.contents() == {KEY}


async def test_rewrite_replaces_the_object(place: Place) -> None:
    """An object written again takes the place of the first."""
    await write(place.storage, KEY, DATA)
    await write(place.storage, KEY, b"other")
    assert await place.storage.read(KEY) == b"other"
    assert place.contents() == {KEY}


# What is not there


async def test_room_is_told(storage: Storage) -> None:
    """A disk tells how much room it has; a bucket has no end that anybody knows of."""
    free = await storage.free_bytes()
    assert free is None or free > 0


async def test_missing_object_is_permanent(storage: Storage) -> None:
    """An object that is not there is missing for good, and not a passing fault."""
    assert not issubclass(ObjectMissing, OSError)
    for start, end in ((0, None), (0, 10)):
        with pytest.raises(ObjectMissing):
            await storage.read(KEY, start, end)


async def test_incomplete_object_is_absent(storage: Storage) -> None:
    """An object is not there before it is complete."""
    async with storage.writer(KEY) as writer:
        await writer.write(DATA)
        with pytest.raises(ObjectMissing):
            await storage.read(KEY)
    assert await storage.read(KEY) == DATA


async def test_readers_see_the_complete_object(storage: Storage) -> None:
    """Readers see the old object until the new one is complete."""
    await storage.put(KEY, b"old")
    async with storage.writer(KEY) as writer:
        await writer.write(DATA)
        assert await storage.read(KEY) == b"old"
    assert await storage.read(KEY) == DATA


# What is there


async def test_objects_are_listed_in_order(storage: Storage) -> None:
    """Objects are listed in the order of their keys page by page."""
    keys = ["A", "a-b/x", "a/b/c", "a/b.d", "b/spans", "b/upload.csv", "ü/x"]
    for key in reversed(keys):
        await storage.put(key, b"x")
    assert [stored.key for stored in await storage.objects()] == sorted(keys)
    paged: list[str] = []
    while page := await storage.objects(paged[-1] if paged else "", 2):
        assert len(page) <= 2
        paged += [stored.key for stored in page]
    assert paged == sorted(keys)
    assert [stored.key for stored in await storage.objects("a/b")] == [key for key in sorted(keys) if key > "a/b"]


async def test_unused_storage_is_empty(storage: Storage) -> None:
    """A storage that nobody has used has no objects."""
    assert await storage.objects() == []
    assert await storage.discard_unfinished(datetime.now(UTC)) == 0


async def test_object_tells_its_age(storage: Storage) -> None:
    """An object tells since when it is there."""
    await storage.put(KEY, DATA)
    [stored] = await storage.objects()
    assert abs(datetime.now(UTC) - stored.modified) < timedelta(seconds=60)


async def test_unfinished_object_is_not_listed(storage: Storage) -> None:
    """An object that is being written is not listed."""
    async with storage.writer(KEY) as writer:
        await writer.write(b"x" * 9 * 1024**2)
        assert await storage.objects() == []


async def test_old_unfinished_is_discarded(place: Place) -> None:
    """What was begun long ago and not finished is discarded."""
    await place.storage.put("kept", DATA)
    with pytest.raises(OSError):
        async with place.storage.writer(KEY) as writer:
            await writer.write(b"x" * 9 * 1024**2)
            now = datetime.now(UTC)
            assert await place.storage.discard_unfinished(now - timedelta(hours=1)) == 0
            assert len(place.contents()) == 2
            assert await place.storage.discard_unfinished(now + timedelta(hours=1), limit=0) == 0
            assert await place.storage.discard_unfinished(now + timedelta(hours=1)) == 1
            assert place.contents() == {"kept"}
    assert place.contents() == {"kept"}


# What goes wrong


@pytest.mark.parametrize("fault", [RuntimeError, OSError, asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize("blocks", [0, 1, 3])
async def test_failed_write_leaves_nothing(place: Place, fault: type[BaseException], blocks: int) -> None:
    """An exception in the writer leaves nothing behind."""
    with pytest.raises(fault):
        async with place.storage.writer(KEY) as writer:
            for _ in range(blocks):
                await writer.write(DATA)
            raise fault
    assert place.contents() == set()
    with pytest.raises(ObjectMissing):
        await place.storage.read(KEY)


async def test_failed_write_keeps_old_object(place: Place) -> None:
    """An exception in the writer leaves the old object."""
    await place.storage.put(KEY, b"old")
    with pytest.raises(RuntimeError):
        async with place.storage.writer(KEY) as writer:
            await writer.write(DATA)
            raise RuntimeError
    assert await place.storage.read(KEY) == b"old"
    assert place.contents() == {KEY}


async def test_cancelled_write_leaves_nothing(place: Place) -> None:
    """A task cancelled while it writes leaves nothing behind."""
    begun = asyncio.Event()

    async def upload() -> None:
        async with place.storage.writer(KEY) as writer:
            await writer.write(DATA)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(upload())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert place.contents() == set()


@pytest.mark.parametrize("step", ["while it is flushed", "when it has its name"])
async def test_cancelled_naming_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A task cancelled while the object gets its name leaves nothing behind."""
    entered, go = threading.Event(), threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    fsync, syncs = os.fsync, []

    def held(descriptor: int) -> None:
        syncs.append(descriptor)
        # The first is the object's, the second that of its directory.
        if len(syncs) == (1 if step == "while it is flushed" else 2):
            entered.set()
            loop.call_soon_threadsafe(begun.set)
            assert go.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", held)
    storage = LocalStorage(tmp_path)
    task = asyncio.create_task(storage.put(KEY, DATA))
    await begun.wait()
    task.cancel()
    # The task has been told, and still waits for the thread.
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(ObjectMissing):
        await storage.read(KEY)
    await storage.put(KEY, DATA)
    assert await storage.read(KEY) == DATA


#: Writes an object of twenty blocks and prints what came of it. Files may have 100,000 bytes, as on a full disk: the
#: write that crosses that is short, and the next one fails.
FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from app.adapters.storage import LocalStorage, ObjectMissing

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

async def main(root, key, size):
    storage = LocalStorage(root)
    await storage.create()
    try:
        async with storage.writer(key) as writer:
            for _ in range(20):
                await writer.write(b"x" * size)
    except OSError as error:
        print("refused")
    else:
        print("taken")
    try:
        print(len(await storage.read(key)))
    except ObjectMissing:
        print("missing")
    await storage.put("fits", b"y" * 100_000)
    print(len(await storage.read("fits")))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (1_000, "taken 20000 100000"),
        (5_000, "taken 100000 100000"),
        (5_001, "refused missing 100000"),
        (7_000, "refused missing 100000"),
        (300_000, "refused missing 100000"),
    ],
)
def test_short_write_is_refused(tmp_path: Path, block: int, said: str) -> None:
    """An object that the disk does not take whole is refused, and leaves nothing."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "root"), KEY, str(block)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == said.split(), done.stderr
    left = {str(path.relative_to(tmp_path / "root")) for path in (tmp_path / "root").rglob("*") if path.is_file()}
    assert left == ({"fits"} if "missing" in said else {"fits", KEY})


# Deleting


async def test_delete_removes_one_object(place: Place) -> None:
    """Deleting takes away the object and nothing else."""
    beside = KEY.replace("upload.csv", "spans")
    await place.storage.put(KEY, DATA)
    await place.storage.put(beside, b"spans")
    await place.storage.delete(KEY)
    with pytest.raises(ObjectMissing):
        await place.storage.read(KEY)
    assert place.contents() == {beside}


async def test_delete_is_idempotent(place: Place) -> None:
    """Deleting twice, or what never was, is no error."""
    await place.storage.delete(KEY)
    await place.storage.put(KEY, DATA)
    await place.storage.delete(KEY)
    await place.storage.delete(KEY)
    assert place.contents() == set()


async def test_a_deleted_key_can_be_used_again(storage: Storage) -> None:
    await storage.put(KEY, b"old")
    await storage.delete(KEY)
    await storage.put(KEY, b"new")
    assert await storage.read(KEY) == b"new"


# Many at once


async def test_writers_at_once_do_not_mix(place: Place) -> None:
    keys = {f"{number:024x}/upload.csv": f"{number:05}".encode() * 1000 for number in range(20)}
    await asyncio.gather(*(write(place.storage, key, *[block] * 20) for key, block in keys.items()))
    found = await asyncio.gather(*(place.storage.read(key) for key in keys))
    assert dict(zip(keys, found, strict=True)) == {key: block * 20 for key, block in keys.items()}
    assert place.contents() == set(keys)


async def test_one_of_two_writers_wins(place: Place) -> None:
    """Of two writers of one key one is there whole."""
    await asyncio.gather(*(write(place.storage, KEY, *[word * 1000] * 20) for word in (b"one", b"two")))
    assert await place.storage.read(KEY) in (b"one" * 20_000, b"two" * 20_000)
    assert place.contents() == {KEY}


# Whether it can be used


async def test_check_leaves_no_object(place: Place) -> None:
    """Check returns on a storage that is new, and leaves no object."""
    await place.storage.check()
    await place.storage.put(KEY, DATA)
    await place.storage.check()
    assert place.contents() == {KEY}


async def test_check_reports_bad_directory(tmp_path: Path) -> None:
    """Check of a directory that cannot be made is an OSError."""
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"")
    storage = open_storage((in_the_way / "uploads").as_uri(), {}, MemoryRegister())
    for step in (storage.prepare, storage.check):
        with pytest.raises(OSError):
            await step()
    with pytest.raises(OSError):
        await storage.put(KEY, DATA)


# Room


async def test_uploads_leave_the_reserve_free(tmp_path: Path) -> None:
    """A disk with less than that has no room, which is no fault that passes by sending the file again."""
    free = os.statvfs(tmp_path)
    storage = LocalStorage(tmp_path, reserve=free.f_bavail * free.f_frsize * 2)
    with pytest.raises(OutOfSpace):
        await storage.put(KEY, DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    await LocalStorage(tmp_path, reserve=1).put(KEY, DATA)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    storage = LocalStorage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutOfSpace):
            await storage.put(KEY, DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("code", "status"), [("QuotaExceeded", 403), ("XMinioStorageFull", 507), ("AnyOther", 507), ("SlowDown", 503)]
)
def test_full_bucket_has_no_room(code: str, status: int) -> None:
    """A bucket that is full has no room."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(OSError) as refused, s3_faults():
        raise ClientError(answer, "PutObject")
    assert isinstance(refused.value, OutOfSpace) == (code != "SlowDown")
