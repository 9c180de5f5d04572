"""FAILING on purpose: bugs found while writing the tests of 23 Nov. Move each to its suite with the fix.

Run: pytest -c pyproject.toml --rootdir=. -p tests.conftest /tmp/bugs/test_known_bugs.py (fixtures: tests/conftest.py).
"""

from __future__ import annotations
import asyncio, base64, os, threading
from pathlib import Path
import pytest
from bson import ObjectId
from app.adapters.storage import LocalStorage, local
from app.adapters.store import Store
from app.settings import Settings, get_settings
from tests.e2e.test_refusals import (
    BOUNDARY,
    BROKEN,
    END,
    GOOD,
    MULTIPART,
    PARTS_BROKEN,
    WHOLE,
    Door,
    door,
    encoded,
    fields,
    file_part,
    form,
    open_door,
    part,
    told,
)


def section(head: bytes, value: bytes = GOOD) -> bytes:
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


# 1. web/uploads.py:_read_form — 500 for broken part headers (aiohttp BadHttpMessage/LineTooLong/InvalidHeader)
CUTS = {
    "cut in a header name": WHOLE[: len(fields()) + len(BOUNDARY) + 12],
    "no colon": section(b"no colon here") + form(GOOD),
    "long line": section(b"X: " + b"y" * 20_000) + form(GOOD),
    "many headers": section(b"\r\n".join(b"X%d: y" % n for n in range(500))) + form(GOOD),
    "nul in the file name": fields()
    + section(b'Content-Disposition: form-data; name="file"; filename="a\0.csv"')
    + END,
    "endless header": section(b"X: " + b"y" * 300_000),
}


@pytest.mark.parametrize("kind", CUTS)
def test_part_headers_that_cannot_be_read_are_broken(door: Door, kind: str) -> None:
    assert door.refuse(CUTS[kind]) == PARTS_BROKEN


# 2. web/uploads.py — 500 for a `_charset_` field (aiohttp raises RuntimeError for > 31 bytes)
@pytest.mark.parametrize("value", ["x" * 64, "nope", "utf-16"])
def test_a_charset_field_gives_no_500(door: Door, value: str) -> None:
    told(door.post(part("_charset_", value) + fields(actionType=None) + file_part(GOOD) + END))


# 3. web/uploads.py — 500 for a good file whose name is not UTF-8 (lone surrogates reach BSON)
def test_a_file_name_that_is_not_utf_8_is_no_reason(open_door: Door) -> None:
    body = (
        fields(scheduledAt="2100-01-01T00:00:00Z")
        + section(b'Content-Disposition: form-data; name="file"; filename="M\xfcller.csv"')
        + END
    )
    answer = open_door.post(body)
    assert answer.status_code == 201, answer.text


# 4. web/uploads.py + web/middleware.py:_error — plain-text 500: a field NAME that is not UTF-8 goes into the message
@pytest.mark.parametrize("value", [b"x" * 20_000, b"\xff"])
def test_a_field_name_that_is_not_utf_8_gives_a_json_error(door: Door, value: bytes) -> None:
    told(door.post(fields() + section(b'Content-Disposition: form-data; name="\xff"', value) + file_part(GOOD) + END))


# 5. web/paging.py:read_cursor — 500 (OverflowError in bson) for a moment that UTC cannot hold
@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_cursor_out_of_range_is_refused(door: Door, path: str, moment: str) -> None:
    assert told(door.worker.client.get(path, params={"cursor": encoded(f"{moment}/x")}))[:2] == (400, "INVALID_CURSOR")


# 6. storage/local.py:_LocalWriter.write — a short write (disk nearly full) is taken for a whole one
async def test_a_short_write_is_not_taken_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = local._create

    class Short:
        def __init__(self, file):
            self.file = file

        def write(self, block):
            return self.file.write(block[:100])

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(local, "_create", lambda part: Short(real(part)))
    storage = LocalStorage(tmp_path)
    async with storage.writer("a/b") as writer:
        await writer.write(b"x" * 1000)
    assert len(await storage.read("a/b")) == 1000


# 7. storage/local.py:writer — cancelled while the part is made, or while it is published: something stays
async def cancelled_in(call, storage: LocalStorage, entered: threading.Event, go: threading.Event) -> None:
    async def upload() -> None:
        async with storage.writer("a/b") as writer:
            await writer.write(b"x")

    task = asyncio.create_task(upload())
    await asyncio.to_thread(entered.wait)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.3)


@pytest.mark.parametrize("where", ["create", "publish"])
async def test_a_task_cancelled_at_either_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    entered, go = threading.Event(), threading.Event()

    def held():
        entered.set()
        go.wait()

    if where == "create":
        real = local._create
        monkeypatch.setattr(local, "_create", lambda part: (held(), real(part))[1])
    else:
        real_open = os.open
        monkeypatch.setattr(
            local.os, "open", lambda path, *a, **k: (str(path).endswith("/a") and held(), real_open(path, *a, **k))[1]
        )
    await cancelled_in(None, LocalStorage(tmp_path), entered, go)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# 8. store/records.py:upsert — BATCH_SIZE may be 50,000, whose command is larger than MongoDB's 16 MB
async def test_the_largest_chunk_that_settings_allow_can_be_written(settings: Settings) -> None:
    store = Store(settings.mongo_db_uri)
    rows = [
        {
            "q": {"_id": f"default:{n:040}"},
            "u": {
                "$set": {
                    "accountId": "default",
                    "id": f"{n:040}",
                    "name": "Björn",
                    "email": f"c{n}@example.com",
                    "status": "active",
                    "_bulk": {"actionId": "0" * 24, "row": n, "status": "SUCCESS"},
                },
                "$setOnInsert": {"createdBy": "0" * 24},
            },
            "upsert": True,
        }
        for n in range(50_000)
    ]
    try:
        assert len((await store.records.upsert("contacts", rows)).created) == 50_000
    finally:
        await store.close()


# 9. app/main.py — Faust makes DATA_DIR without its parents: a fresh machine (default data/worker) cannot start
def test_a_data_directory_whose_parents_are_missing_is_made(start_worker, tmp_path: Path) -> None:
    from tests.support import Worker

    worker = start_worker(wait=False)
    worker.kill()
    worker.environment["DATA_DIR"] = str(tmp_path / "not" / "yet" / "there")
    worker.start()


# 10. app/settings.py — wrong values that pass, or end in a traceback instead of one line
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_DB_URI", "nonsense"),
        ("MONGO_DB_URI", "mongodb://"),
        ("REDIS_URI", "ftp://host"),
        ("KAFKA_TOPIC", ".."),
        ("STORAGE_URI", "file://relative/dir"),
        ("STALL_TIMEOUT", "inf"),
        ("RETRY_DELAYS", "15,30,60"),
        ("RETRY_DELAYS", "[-1,0,1]"),
        ("KAFKA_BROKER", "kafka://"),
        ("KAFKA_BROKER", "no-port-here:x"),
    ],
)
def test_more_wrong_settings_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        get_settings()
    assert str(stopped.value.code).startswith(f"Setting {name} is wrong: ")


# 11. claims released at settlement + ledger.close() unconditional: a slow second runner of a chunk that ends after
#     the action was COMPLETED finds no claims, writes rows that were SKIPPED, and overwrites the ledger entry.
async def test_a_runner_that_is_late_changes_nothing_of_a_completed_action(settings: Settings, tmp_path: Path) -> None:
    from types import SimpleNamespace
    from datetime import UTC, datetime
    from redis.asyncio import Redis
    from agents.processor import process
    from app.adapters.claims import Claims
    from app.domain.actions import Status
    from app.messages import ByteRange, Chunk, Source, chunk_id
    from app.settlement import settle

    store, redis, storage = Store(settings.mongo_db_uri), Redis.from_url(settings.redis_uri), LocalStorage(tmp_path)
    sent: list = []

    async def send(message, *a, **k):
        sent.append(message)

    async def nothing(*a, **k):
        return None

    late = asyncio.Event()
    reading = asyncio.Event()

    class Slow:
        async def read(self, *a):
            reading.set()
            await late.wait()
            return await storage.read(*a)

    def platform(files):
        return SimpleNamespace(
            store=store,
            storage=files,
            claims=Claims(redis, ttl=600),
            settings=settings,
            progress=None,
            topics=SimpleNamespace(results=SimpleNamespace(send=send)),
            redis=redis,
            is_moving=lambda: False,
            reporter=SimpleNamespace(forget=lambda *_: None, note=lambda *_: None),
            snapshots=SimpleNamespace(drop=nothing),
        )

    action = str(ObjectId())
    a, b = b"same,First,first@example.com,active\n", b"same,Second,second@example.com,active\n"
    await storage.put("k", a + b)
    now = datetime.now(UTC)
    await store.actions.add(
        {
            "_id": action,
            "accountId": "default",
            "status": Status.PROCESSING,
            "createdAt": now,
            "updatedAt": now,
            "totalCount": 2,
            "chunkCount": 2,
        }
    )
    source = Source(
        account_id="default",
        entity_type="Contact",
        action_type="BULK_UPDATE",
        storage_key="k",
        columns=("id", "name", "email", "status"),
        chunk_count=2,
    )
    one = Chunk(action_id=action, index=0, span=ByteRange(start=0, end=len(a), first_row=1, rows=1), source=source)
    two = Chunk(
        action_id=action, index=1, span=ByteRange(start=len(a), end=len(a + b), first_row=2, rows=1), source=source
    )
    try:
        slow = asyncio.create_task(process(two, platform(Slow())))  # worker 1: stalls (swapped out, slow storage, …)
        await reading.wait()
        await process(one, platform(storage))
        await process(two, platform(storage))  # worker 2, after the watchdog sent the chunk again
        await settle(platform(storage), action, 2)
        ids = [chunk_id(action, n) for n in range(2)]
        before = await store.ledger.outcomes(ids), (await store.records.find("contacts", ["default:same"], ["name"]))
        done = await store.actions.get(action)
        assert done["status"] == "COMPLETED", done
        late.set()
        await slow
        after = await store.ledger.outcomes(ids), (await store.records.find("contacts", ["default:same"], ["name"]))
        assert after[1] == before[1], "a SKIPPED row has overwritten the record of its owner"
        assert after[0] == before[0], "the ledger no longer adds up to the counters of the COMPLETED action"
    finally:
        await redis.aclose()
        await store.close()
