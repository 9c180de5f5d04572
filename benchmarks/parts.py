"""The parts of a row's way, each alone: what it could do if it were the only one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from bson import ObjectId
from redis.asyncio import Redis

from app.adapters.mongo import Store
from app.adapters.mongo.statements import EncodedRecords, RecordLayout
from app.adapters.redis.claims import Claims
from app.domain.cells import EmptyCells
from app.domain.csv.header import Columns
from app.domain.csv.spans import SpanScanner
from app.domain.entities import ENTITIES
from app.domain.id_filter import IdFilter
from app.domain.operations import BULK_PATCH
from app.domain.rows import CheckedChunk, check_chunk
from benchmarks.bed import Bed
from benchmarks.report import Table, median, say

HEADER = b"id,name,email,status\n"
BLOCK = 256 * 1024
REPETITIONS = 7
CHUNK_ROWS = 1000
PLAIN = b"%07d,Ada Lovelace,ada.%d@Example.com,active\n"
FILES: dict[str, Callable[[int], bytes]] = {
    "LF": lambda i: PLAIN % (i, i),
    "CR LF": lambda i: (PLAIN % (i, i)).replace(b"\n", b"\r\n"),
    "all quoted": lambda i: b'"%07d","Ada Lovelace","ada.%d@Example.com","active"\n' % (i, i),
    "one quoted": lambda i: b'%07d,"Lovelace, Ada",ada.%d@Example.com,active\n' % (i, i),
    "quoted newlines": lambda i: b'%07d,"Lovelace\nAda ""L""",ada.%d@Example.com,active\n' % (i, i),
    "a stray quote in 1 % of rows": lambda i: (
        b'%07d,Ada%s Lovelace,"ada.%d@Example.com",active\n' % (i, b"" if i % 100 else b'"', i)
    ),
    "a stray quote in each row": lambda i: b'%07d,Ada" Lovelace,ada.%d@Example.com,active\n' % (i, i),
}
CHUNKS: dict[str, Callable[[int], bytes]] = {
    "clean": lambda i: PLAIN % (i, i),
    "clean, names quoted": lambda i: b'%07d,"Ada Lovelace",ada.%d@Example.com,active\n' % (i, i),
    "5 % invalid e-mail addresses": lambda i: (PLAIN % (i, i)).replace(b"@", b"@" if i % 20 else b" "),
    "5 % too few fields": lambda i: PLAIN % (i, i) if i % 20 else b"%d,Ada\n" % i,
    "all invalid": lambda i: (PLAIN % (i, i)).replace(b"@", b" "),
}
#: A row of an entity with fields of many kinds: texts, choices, an amount, an integer, a date.
DEAL = b"%07d,A deal,won,c%d,%d.50,EUR,50,2026-01-31\n"
#: A row of a patch of contacts, of which every other one says nothing of the name.
PATCH = (b"%07d,,active\n", b"%07d,Ada Lovelace,active\n")


def measure(bed: Bed, *, megabytes: int = 32, rows: int = 200_000) -> tuple[list[Table], dict[str, Any]]:
    """Measure every part."""
    scanner, bytes_per_second = _scanner(megabytes)
    upload, upload_figures = _upload(bed, megabytes * 4)
    steps = Table("The steps of a row, rows per second", ["step", "what", "median"])
    figures: dict[str, float] = {}
    claims, claims_figures = asyncio.run(_claims(bed, rows))
    for (step, what), speed in {**_checks(), **_statements(), **asyncio.run(_records(bed, rows))}.items():
        steps.add(step, what, f"{speed:,.0f}")
        figures[f"{step}, {what}, rows/s"] = speed
        say(f"{step}, {what}: {speed:,.0f} rows/s")
    return [scanner, upload, steps, claims], {**bytes_per_second, **upload_figures, **figures, **claims_figures}


def _median_seconds(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    work()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def _blocks(data: bytes) -> Iterator[bytes]:
    return (data[i : i + BLOCK] for i in range(0, len(data), BLOCK))


def _scan(data: bytes) -> int:
    scanner = SpanScanner(chunk_rows=CHUNK_ROWS)
    for block in _blocks(data):
        scanner.feed(block)
    return scanner.finish().row_count


def _copy(data: bytes) -> int:
    return sum(len(bytearray(block)) for block in _blocks(data))


def _scanner(megabytes: int) -> tuple[Table, dict[str, float]]:
    table = Table("Span scanner, MB/s", ["file", "scanner", "plain copy"], note=f"Blocks of {BLOCK // 1024} KiB.")
    figures = {}
    for name, row in FILES.items():
        data = HEADER + b"".join(map(row, range(int(megabytes * 1e6) // len(row(1)))))
        speed, roof = (len(data) / _median_seconds(partial(work, data)) / 1e6 for work in (_scan, _copy))
        table.add(name, f"{speed:,.0f}", f"{roof:,.0f}")
        figures[f"scanner, {name}, MB/s"] = speed
    return table, figures


def _upload(bed: Bed, megabytes: int) -> tuple[Table, dict[str, float]]:
    """POST a file to a worker, as UTF-8 and in other encodings; beside it, the plain copy of its bytes."""
    worker = bed.start_worker()
    path = bed.directory / "upload.csv"
    rows = range(int(megabytes * 1e6) // len(PLAIN % (1, 1)))
    with path.open("wb") as file:
        file.write(HEADER)
        file.writelines(PLAIN % (i, i) for i in rows)
    size = path.stat().st_size

    def copy() -> None:
        with path.open("rb") as source, (bed.directory / "copy.csv").open("wb") as target:
            while block := source.read(BLOCK):
                target.write(block)

    # Scheduled, so that no chunk of it runs meanwhile.
    post = partial(worker.submit, path, scheduledAt="2100-01-01T00:00:00Z")
    speeds = {"POST, with span index": size / _median_seconds(post, 3) / 1e6}
    for encoding in ("windows-1252", "utf-16"):
        other = bed.directory / f"{encoding}.csv"
        with other.open("w", encoding=encoding, newline="") as text:
            text.write(HEADER.decode())
            text.writelines(f"{i:07},Adèle Löwe,adele.{i}@example.com,active\n" for i in rows)
        post = partial(worker.submit, other, scheduledAt="2100-01-01T00:00:00Z")
        speeds[f"POST in {encoding}"] = other.stat().st_size / _median_seconds(post, 3) / 1e6
    speeds["plain copy to a file"] = size / _median_seconds(copy, 3) / 1e6
    bed.stop_workers()
    table = Table(f"Upload of {megabytes} MB, MB/s", ["what", "median"])
    for what, speed in speeds.items():
        table.add(what, f"{speed:,.0f}")
    return table, {f"upload, {what}, MB/s": speed for what, speed in speeds.items()}


def _chunk(row: Callable[[int], bytes], first: int = 0) -> bytes:
    return b"".join(map(row, range(first, first + CHUNK_ROWS)))


def _check(row: Callable[[int], bytes], first: int = 0) -> CheckedChunk:
    columns = Columns(("id", "name", "email", "status"))
    return check_chunk(ENTITIES["Contact"], columns, _chunk(row, first), ",", first + 1)


def _checks() -> dict[tuple[str, str], float]:
    columns, found = Columns(("id", "name", "email", "status")), {}
    for name, row in CHUNKS.items():
        check = partial(check_chunk, ENTITIES["Contact"], columns, _chunk(row), ",", 1)
        found["parse and validate", name] = CHUNK_ROWS / _median_seconds(check, 300)
    for name, work in {"opportunities, typed fields": _check_deals, "patches, gaps": _check_patches}.items():
        found["parse and validate", name] = CHUNK_ROWS / _median_seconds(work, 300)
    return found


def _check_deals() -> CheckedChunk:
    deal = ENTITIES["Opportunity"]
    return check_chunk(deal, Columns(deal.columns), _chunk(lambda i: DEAL % (i, i, i)), ",", 1)


def _check_patches() -> CheckedChunk:
    columns = Columns(("id", "name", "status"))
    part = columns.part_of(ENTITIES["Contact"], BULK_PATCH)
    return check_chunk(part, columns, _chunk(lambda i: PATCH[i % 2] % i), ",", 1, EmptyCells.SKIP)


def _encoded(checked: CheckedChunk, *, whole: bool = True) -> EncodedRecords:
    tag = {"actionId": "f" * 24, "startedAt": datetime.now(UTC), "status": "SUCCESS", "at": datetime.now(UTC)}
    entity = checked.entity
    layout = RecordLayout(
        "default",
        entity.columns,
        0,
        {"accountId": "default"},
        tag,
        {"createdBy": "f" * 24},
        whole=whole,
        kinds=entity.kinds,
    )
    return layout.encode(checked.rows, checked.columns)


def _statements() -> dict[tuple[str, str], float]:
    contacts, deals, patches = _check(CHUNKS["clean"]), _check_deals(), _check_patches()
    keys = _encoded(contacts).keys
    builders = {
        "new records": lambda: _encoded(contacts).inserts(),
        "changes": lambda: _encoded(contacts).changes(),
        "records to compare with": lambda: _encoded(contacts).stored(),
        "new opportunities, typed fields": lambda: _encoded(deals).inserts(),
        "changes of patches, gaps": lambda: _encoded(patches, whole=False).changes(),
        "deletions": lambda: _encoded(contacts).deletions(),
        "filter of the changed ids": lambda: IdFilter.of(keys),
    }
    return {("build statements", what): CHUNK_ROWS / _median_seconds(build, 300) for what, build in builders.items()}


async def _claims(bed: Bed, rows: int) -> tuple[Table, dict[str, float]]:
    """Claim whole chunks, one after the other, and again as a replay does: what that costs Redis."""
    redis, action = Redis.from_url(bed.environment["REDIS_URI"]), str(ObjectId())
    claims = Claims(redis, ttl=600)
    chunks = [_check(CHUNKS["clean"], first) for first in range(0, rows, CHUNK_ROWS)]

    async def claim(chunk: Any) -> None:
        assert await claims.claim(action, rows, chunk.rows, [chunk.column("id"), chunk.column("email")]) == {}

    async def used() -> tuple[float, int, int]:
        info: dict[str, Any] = await redis.info("all")
        cpu = info["used_cpu_user"] + info["used_cpu_sys"]
        return cpu, info["used_memory_dataset"], info.get("aof_current_size", 0)

    table = Table(
        f"Claims of {rows:,} rows with two key values each",
        ["what", "rows per second", "µs of CPU of Redis, per row", "bytes of its memory", "bytes of its file"],
    )
    figures: dict[str, float] = {}
    for what in ("claim", "claim again"):
        before = await used()
        seconds = await _seconds(claim, chunks, 1)
        cpu, memory, file = (float(after - first) / rows for first, after in zip(before, await used(), strict=True))
        table.add(what, f"{rows / seconds:,.0f}", f"{cpu * 1e6:.1f}", f"{memory:.0f}", f"{file:.0f}")
        say(f"{what}: {cpu * 1e6:.1f} µs of CPU of Redis, {memory:.0f} bytes of its memory per row")
        figures |= {f"{what}, rows/s": rows / seconds, f"{what}, µs of Redis": cpu * 1e6, f"{what}, bytes": memory}
    await claims.release(action)
    await redis.aclose()
    return table, figures


async def _records(bed: Bed, rows: int) -> dict[tuple[str, str], float]:
    """Compare and write whole chunks, one after the other and several at once."""
    store = Store(bed.environment["MONGO_DB_URI"])
    chunks = [_check(CHUNKS["clean"], first) for first in range(0, rows, CHUNK_ROWS)]

    async def write(chunk: Any) -> None:
        await store.records.insert("contacts", _encoded(chunk).inserts())

    async def compare(chunk: Any) -> None:
        await store.records.compare("contacts", _encoded(chunk))

    async def change(chunk: Any) -> None:
        await store.records.update("contacts", _encoded(chunk).changes())

    found: dict[tuple[str, str], float] = {}
    for at_once in (1, 2, 4, 8):
        await asyncio.to_thread(bed.database["contacts"].drop)
        for what, work in {
            "compare with nothing": compare,
            "insert": write,
            "compare unchanged records": compare,
            "update": change,
        }.items():
            found[what, f"{at_once} chunks at hand"] = rows / await _seconds(work, chunks, at_once)
    await store.close()
    return found


async def _seconds(work: Callable[[Any], Awaitable[None]], chunks: list[Any], at_once: int) -> float:
    waiting = iter(chunks)

    async def take() -> None:
        for chunk in waiting:
            await work(chunk)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(take())
    return time.perf_counter() - began
