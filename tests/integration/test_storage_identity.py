"""A storage that is not the one the database knows is away: nothing is missing in it, and nothing gets into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.faults import is_transient
from app.adapters.storage import IdentifiedStorage, ObjectMissing, open_storage
from app.adapters.storage.identity import MARKER, WrongStorage
from app.services.sweeping import OrphanSweeper
from tests.support.bench import Bench
from tests.support.buckets import Bucket
from tests.support.fakes import MemoryRegister

KEY = "0123456789abcdef01234567/upload.csv"
OTHER = "76543210fedcba9876543210/upload.csv"
DATA = b"id,name\n1,Ada\n"
LARGE = b"x" * 9 * 1024**2


@dataclass
class LocalPlace:
    """A directory."""

    root: Path

    def open(self, register: MemoryRegister) -> IdentifiedStorage:
        return open_storage(self.root.as_uri(), {}, register)

    def contents(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, key: str) -> None:
        (self.root / key).unlink()

    def vanish(self) -> None:
        """Leave an empty directory, as an unmounted disk does."""
        self.root.rename(self.root.with_name("elsewhere"))
        self.root.mkdir()

    def come_back(self) -> None:
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.root.rmdir()
        self.root.with_name("elsewhere").rename(self.root)

    def close(self) -> None:
        pass


@dataclass
class BucketPlace:
    """A prefix of a bucket."""

    bucket: Bucket

    def open(self, register: MemoryRegister) -> IdentifiedStorage:
        self.bucket.register = register
        return self.bucket.storage()

    def contents(self) -> set[str]:
        return self.bucket.all_keys()

    def put(self, key: str, data: bytes) -> None:
        self.bucket.put(key, data)

    def remove(self, key: str) -> None:
        self.bucket.remove(key)

    def vanish(self) -> None:
        """Move everything to another prefix, as if this worker's setting were another one."""
        self.bucket.move("some/prefix", "elsewhere")

    def come_back(self) -> None:
        for key in self.contents():
            self.remove(key)
        self.bucket.move("elsewhere", "some/prefix")

    def close(self) -> None:
        self.bucket.close()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = (
        LocalPlace(tmp_path / "mnt" / "uploads")
        if request.param == "local"
        else BucketPlace(Bucket(request.getfixturevalue("s3")))
    )
    yield made
    made.close()


@pytest.fixture
def register() -> MemoryRegister:
    return MemoryRegister()


@pytest.fixture
async def storage(place: Any, register: MemoryRegister) -> AsyncIterator[IdentifiedStorage]:
    storage = place.open(register)
    await storage.prepare()
    yield storage
    await storage.close()


# What vanishes


async def test_lost_storage_misses_nothing(place: Any, storage: IdentifiedStorage) -> None:
    """Nothing is missing in a storage that vanished.

    Reading is a passing fault until it is back; then what was there is there, and what was not is missing.
    """
    await storage.put(KEY, DATA)
    place.vanish()
    for start, end in ((0, None), (0, 5)):
        with pytest.raises(OSError) as caught:
            await storage.read(KEY, start, end)
        assert is_transient(caught.value)
    place.come_back()
    assert await storage.read(KEY) == DATA
    with pytest.raises(ObjectMissing):
        await storage.read(OTHER)


async def test_storage_back_during_read(place: Any, register: MemoryRegister) -> None:
    """What a storage did not have while it was away is read again, and not taken for missing."""
    storage = place.open(register)
    await storage.prepare()
    await storage.put(KEY, DATA)
    raw, away = storage._storage, True

    class Returning:
        """The storage, which comes back as soon as it has said that an object is missing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(raw, name)

        async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            nonlocal away
            try:
                return await raw.read(key, start, end)
            except ObjectMissing:
                if away:
                    away = False
                    place.come_back()
                raise

    storage._storage = Returning()
    place.vanish()
    assert await storage.read(KEY) == DATA
    await storage.close()


async def test_lost_storage_takes_nothing(place: Any, storage: IdentifiedStorage) -> None:
    """Nothing gets into a storage that vanished.

    Neither a new object, nor one that was begun before, nor a look, leaves anything in the place.
    """
    writing = storage.writer(KEY)
    begun = await writing.__aenter__()
    await begun.write(LARGE)
    place.vanish()
    with pytest.raises(OSError):
        await writing.__aexit__(None, None, None)
    for step in (
        storage.put(OTHER, DATA),
        storage.check(),
        storage.prepare(),
        storage.objects(),
        storage.delete(KEY),
        storage.discard_unfinished(datetime.now(UTC)),
    ):
        with pytest.raises(OSError):
            await step
    assert place.contents() == set()
    place.come_back()
    await storage.check()
    await storage.put(OTHER, DATA)
    assert {KEY, OTHER} & place.contents() == {OTHER}


async def test_foreign_storage_is_refused(place: Any, storage: IdentifiedStorage) -> None:
    """The storage of another database is not ours."""
    await storage.put(KEY, DATA)
    place.vanish()
    other = place.open(MemoryRegister())
    await other.prepare()
    await other.put(OTHER, DATA)
    for step in (storage.read(KEY), storage.put(KEY, DATA), storage.delete(OTHER), storage.objects(), storage.check()):
        with pytest.raises(WrongStorage, match="STORAGE_URI"):
            await step
    assert place.contents() == {MARKER, OTHER}
    await other.close()
    place.come_back()
    assert await storage.read(KEY) == DATA


async def test_lost_mount_point_is_not_made(tmp_path: Path, register: MemoryRegister) -> None:
    """A mount point that is gone is never made."""
    place = LocalPlace(tmp_path / "mnt" / "uploads")
    storage = place.open(register)
    await storage.prepare()
    place.root.rename(tmp_path / "elsewhere")
    place.root.parent.rmdir()
    for step in (storage.prepare, storage.check, storage.objects, lambda: storage.put(KEY, DATA)):
        with pytest.raises(OSError):
            await step()
    assert not place.root.parent.exists()


async def test_reading_asks_for_no_marker(
    storage: IdentifiedStorage, register: MemoryRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there costs one request to the storage and none to the database."""
    await storage.put(KEY, DATA)
    asked: list[str] = []
    read = type(storage._storage).read

    async def counted(raw: Any, key: str, *bounds: int | None) -> bytes:
        asked.append(key)
        return await read(raw, key, *bounds)

    async def recorded() -> None:
        raise AssertionError("the database is not asked")

    monkeypatch.setattr(type(storage._storage), "read", counted)
    monkeypatch.setattr(register, "recorded", recorded)
    for _ in range(5):
        assert await storage.read(KEY, 0, 5) == DATA[:5]
    assert asked == [KEY] * 5


# The first start, and the next ones


async def test_first_start_marks_storage(place: Any, register: MemoryRegister) -> None:
    """The first start marks the storage.

    Any number of workers at once agree on one id, and none of them changes it later.
    """
    workers = [place.open(register) for _ in range(6)]
    await asyncio.gather(*(worker.prepare() for worker in workers))
    first = register.identity
    assert first is not None and first.marked
    assert await workers[0]._storage.read(MARKER) == first.storage_id.encode()
    await workers[1].prepare()
    assert register.identity == first
    assert await workers[2].objects() == []
    for worker in workers:
        await worker.close()


async def test_killed_start_is_finished(place: Any, register: MemoryRegister) -> None:
    """A start that was killed is finished by the next.

    It was killed after the database knew the id, before the marker was there.
    """
    await register.propose("f" * 32)
    storage = place.open(register)
    await storage.prepare()
    await storage.put(KEY, DATA)
    assert await storage._storage.read(MARKER) == b"f" * 32
    await storage.close()


async def test_unmarked_storage_is_adopted(place: Any, register: MemoryRegister) -> None:
    """A storage without marker is taken over.

    It was made by a version that knew none, and holds the files of the database.
    """
    place.put(KEY, DATA)
    register.keys = [OTHER, KEY]
    storage = place.open(register)
    await storage.prepare()
    assert await storage.read(KEY) == DATA
    assert place.contents() == {KEY, MARKER}
    await storage.close()


async def test_storage_without_files_is_refused(place: Any, register: MemoryRegister) -> None:
    """A storage without our files is not taken over.

    The database has actions and knows no storage: what has none of their files cannot be theirs.
    """
    register.keys = [KEY]
    storage = place.open(register)
    with pytest.raises(WrongStorage, match="STORAGE_URI"):
        await storage.prepare()
    assert place.contents() == set()
    assert register.identity is None
    await storage.close()


async def test_new_database_refuses_files(place: Any, storage: IdentifiedStorage) -> None:
    """A new database does not take the files of another.

    Its sweeper would remove them all; an operator may say that they are its own.
    """
    await storage.put(KEY, DATA)
    other = place.open(MemoryRegister())
    with pytest.raises(WrongStorage, match="adopt"):
        await other.prepare()
    await other.adopt()
    await other.prepare()
    assert await other.read(KEY) == DATA
    assert await storage.read(KEY) == DATA
    await other.close()


async def test_new_database_adopts_empty_storage(place: Any, storage: IdentifiedStorage) -> None:
    """A new database takes a marked storage that is empty."""
    other = place.open(MemoryRegister())
    await other.prepare()
    await other.put(KEY, DATA)
    await other.close()


async def test_operator_adopts_new_storage(place: Any, storage: IdentifiedStorage, register: MemoryRegister) -> None:
    """An operator says which storage is the new one.

    A running worker follows at once; the storage that was left behind is not ours any more.
    """
    await storage.put(KEY, DATA)
    place.vanish()
    operator = place.open(register)
    await operator.adopt()
    await operator.close()
    await storage.put(OTHER, DATA)
    assert place.contents() == {MARKER, OTHER}
    place.come_back()
    with pytest.raises(OSError):
        await storage.read(OTHER)


# With a real database, and what works with the storage


async def test_of_many_first_ids_one_stands(bench: Bench) -> None:
    await bench.database["installation"].delete_many({})
    proposed = await asyncio.gather(*(bench.store.storage_register.propose(f"{n:032}") for n in range(8)))
    assert len(set(proposed)) == 1
    assert await bench.store.storage_register.recorded() == proposed[0]


async def test_old_database_is_adopted(bench: Bench) -> None:
    """A database of an older version is taken over.

    Actions exist, and no identity does: the storage with their files gets its marker.
    """
    job = await bench.submit("1,Ada,ada@example.com,active")
    await bench.database["installation"].delete_many({})
    await bench.storage._storage.delete(MARKER)
    again = open_storage(bench.settings.storage_uri, {}, bench.store.storage_register)
    await again.prepare()
    await bench.finish(job)
    assert (await bench.store.storage_register.recorded()) is not None


async def test_chunk_waits_for_lost_storage(bench: Bench) -> None:
    """A chunk waits for a storage that vanished. It fails in a way that passes, and runs when the storage is back."""
    job = await bench.submit("1,Ada,ada@example.com,active")
    place = LocalPlace(Path(bench.settings.storage_uri.removeprefix("file://")))
    place.vanish()
    with pytest.raises(OSError) as caught:
        await bench.run(*job.chunks)
    assert is_transient(caught.value)
    place.come_back()
    await bench.finish(job)


async def test_sweeper_spares_foreign_objects(bench: Bench) -> None:
    """The sweeper leaves alone what is not ours.

    Neither in a storage that another database knows, nor the marker in its own.
    """
    context = bench.platform_with(settings=bench.settings.model_copy(update={"orphan_age": -60}))
    place = LocalPlace(Path(bench.settings.storage_uri.removeprefix("file://")))
    await OrphanSweeper().sweep_orphans(context)
    assert place.contents() == {MARKER}
    place.vanish()
    other = place.open(MemoryRegister())
    await other.prepare()
    await other.put(KEY, DATA)
    place.put(".parts/begun", DATA)
    with pytest.raises(OSError):
        await OrphanSweeper().sweep_orphans(context)
    assert place.contents() == {MARKER, KEY, ".parts/begun"}
