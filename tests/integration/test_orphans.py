"""The orphan sweeper: what belongs to no action goes, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.adapters.storage import Storage
from app.context import AppContext
from app.domain.upload_keys import keys_of
from app.services import sweeping as orphans
from app.services.sweeping import OrphanSweeper, sweep_interval
from stack import Stack
from tests.support.bench import Bench
from tests.support.buckets import Bucket

#: A row of a contact.
ROW = "1,Ada,ada@example.com,active"
NOBODY = "0" * 24
ORPHANS = keys_of(NOBODY)


def aged(bench: Bench, orphan_age: float) -> AppContext:
    """The platform, with the age from which on something is old. Below zero, so is what was stored just now."""
    return bench.platform_with(settings=bench.settings.model_copy(update={"orphan_age": orphan_age}))


async def keys(storage: Storage) -> set[str]:
    return {stored.key for stored in await storage.objects()}


async def test_orphans_are_removed(any_bench: Bench) -> None:
    """Objects without an action are removed, and those of actions stay."""
    job = await any_bench.submit(ROW)
    kept = await keys(any_bench.storage)
    for key in ORPHANS:
        await any_bench.storage.put(key, b"x")
    await OrphanSweeper().sweep_orphans(aged(any_bench, -60))
    assert await keys(any_bench.storage) == kept
    assert kept == {f"{job.action_id}/upload.csv", f"{job.action_id}/spans"}


async def test_young_objects_stay(any_bench: Bench) -> None:
    """What is not old stays, because it may be an upload under way."""
    for key in ORPHANS[1:]:
        await any_bench.storage.put(key, b"x")
    async with any_bench.storage.writer(ORPHANS[0]) as writer:
        await writer.write(b"x" * 9 * 1024**2)
        await OrphanSweeper().sweep_orphans(aged(any_bench, 3600))
    assert await keys(any_bench.storage) == set(ORPHANS)


async def test_partial_file_is_removed(any_bench: Bench) -> None:
    """What a killed worker had begun to write is removed."""
    with pytest.raises(OSError):
        async with any_bench.storage.writer(ORPHANS[0]) as writer:
            await writer.write(b"x" * 9 * 1024**2)
            await OrphanSweeper().sweep_orphans(aged(any_bench, -60))
            # It is gone: this writer can not give it a name any more.
    assert await keys(any_bench.storage) == set()


async def test_what_is_not_ours_stays(any_bench: Bench) -> None:
    foreign = {"readme.txt", "backup/2026.tar", f"{NOBODY}x/upload.csv", f"{NOBODY}/notes.txt", f"{NOBODY}/a/spans"}
    for key in foreign:
        await any_bench.storage.put(key, b"x")
    await OrphanSweeper().sweep_orphans(aged(any_bench, -60))
    assert await keys(any_bench.storage) == foreign


@pytest.mark.parametrize("prefix", ["", "/some/prefix"])
async def test_foreign_uploads_stay(bench: Bench, s3: Stack, prefix: str) -> None:
    """Unfinished uploads of others stay.

    Other programs have uploads under way in the same bucket, some below the same prefix.
    """
    bucket = Bucket(s3)
    storage = bucket.storage(STORAGE_URI=f"s3://{bucket.name}{prefix}")
    await storage.prepare()
    foreign = {"dump.tar", "some/prefix/backup.tar", f"other/{ORPHANS[0]}", f"some/prefix/x/{ORPHANS[0]}"}
    ours = f"{prefix}/{ORPHANS[0]}".lstrip("/")
    for key in {*foreign, ours}:
        bucket.begin_upload(key)
    assert bucket.unfinished() == {*foreign, ours}
    await OrphanSweeper().sweep_orphans(replace(aged(bench, -60), storage=storage))
    assert bucket.unfinished() == foreign
    await storage.close()
    bucket.close()


async def test_work_of_a_turn_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn does a bounded amount of work, and the next goes on."""
    monkeypatch.setattr(orphans, "_PER_TURN", 4)
    monkeypatch.setattr(orphans, "_PER_LOOK", 2)
    for number in range(5):
        await bench.submit(ROW, action_id=f"{number:024x}")
    last = f"{'f' * 24}/spans"
    await bench.storage.put(last, b"x")
    sweeper, context = OrphanSweeper(), aged(bench, -60)
    for _ in range(2):
        await sweeper.sweep_orphans(context)
        assert last in await keys(bench.storage)
    await sweeper.sweep_orphans(context)
    assert last not in await keys(bench.storage)
    await bench.storage.put(f"{NOBODY[:-1]}f/spans", b"x")
    for _ in range(3):
        await sweeper.sweep_orphans(context)
    assert len(await keys(bench.storage)) == 10


async def test_absent_storage_is_transient(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that is away is a fault that passes."""

    async def away(*_: object) -> None:
        raise OSError("the storage is away")

    monkeypatch.setattr(type(bench.storage), "objects", away)
    with pytest.raises(OSError):
        await OrphanSweeper().sweep_orphans(aged(bench, -60))


@pytest.mark.parametrize(("age", "interval"), [(86_400, 3600), (10**7, 3600), (2400, 100), (0.1, 0.2)])
def test_sweeper_interval(age: float, interval: float) -> None:
    """The sweeper runs hourly, or more often where orphans go sooner."""
    assert sweep_interval(age) == interval
