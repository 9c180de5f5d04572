"""What an upload may be, and how many there may be at once: each limit has its answer, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.adapters.storage import LocalStorage, OutOfSpace
from app.adapters.storage.identity import MARKER
from tests.support.bench import Bench
from tests.support.files import CONTACTS, HEADER, MISLEADING, ROW
from tests.support.forms import REQUIRED
from tests.support.uploads_only import UploadsOnly


def limit(bench: Bench, **limits: int) -> None:
    bench.context = bench.platform_with(settings=bench.settings.model_copy(update=limits))


async def upload(client: UploadsOnly, content: Any = CONTACTS, account: str = "acme", **fields: str) -> tuple[int, str]:
    status, answer = await client.post({**REQUIRED, **fields}, content, account=account)
    return status, answer.get("code", "")


async def stored(bench: Bench) -> list[str]:
    return [entry.key for entry in await bench.storage.objects() if entry.key != MARKER]


async def test_so_many_rows(bench: Bench, client: UploadsOnly) -> None:
    limit(bench, max_rows=3)
    assert await upload(client, HEADER + ROW * 4) == (413, "TOO_MANY_ROWS")
    assert await stored(bench) == []
    assert (await upload(client, HEADER + ROW * 3))[0] == 201


async def test_late_delimiter_recounts_rows(bench: Bench, client: UploadsOnly) -> None:
    """Rows are counted again with a late delimiter.

    With the delimiter that comes behind the file, quotes end elsewhere and so do rows.
    """
    two_lines = b'1,"two\nlines",two@example.com,active,x\n'
    action = await client.take(REQUIRED, MISLEADING + two_lines, {"delimiter": ","})
    assert (action.total_count, action.file.delimiter_source) == (12, "given")
    assert len(await stored(bench)) == 2


async def test_known_columns_decide_the_delimiter(bench: Bench, client: UploadsOnly) -> None:
    """What a file looks like gives way to the columns that are looked for, also when the fields come after it."""
    action = await client.take({}, MISLEADING, REQUIRED)
    assert (action.file.delimiter, action.file.delimiter_source) == (",", "detected")
    assert (action.total_count, action.file.columns.width) == (11, 5)


async def test_so_many_columns(bench: Bench, client: UploadsOnly) -> None:
    limit(bench, max_columns=4)
    assert (await upload(client))[0] == 201
    assert await upload(client, HEADER.replace(b"id,", b"id,more,") + ROW) == (400, "INVALID_HEADER")


async def test_so_far_ahead(bench: Bench, client: UploadsOnly) -> None:
    limit(bench, schedule_max_days=366)
    assert await upload(client, scheduledAt="2100-01-01T00:00:00Z") == (400, "SCHEDULE_TOO_FAR")
    assert await stored(bench) == []


async def test_a_storage_without_room(bench: Bench, client: UploadsOnly, monkeypatch: pytest.MonkeyPatch) -> None:
    """507 tells a client that sending the file again will not help; when room was made, it does."""

    def full(*_: object) -> Iterator[None]:
        raise OutOfSpace("no space left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "writer", full)
        assert await upload(client) == (507, "STORAGE_FULL")
    assert (await upload(client))[0] == 201


@pytest.mark.parametrize(
    ("limits", "others", "refused"),
    [
        ({"max_open_uploads": 2}, "other", (503, "TOO_MANY_UPLOADS")),
        ({"max_open_uploads_per_account": 2}, "acme", (429, "TOO_MANY_OPEN_UPLOADS")),
    ],
)
async def test_so_many_at_the_same_time(
    bench: Bench, client: UploadsOnly, limits: dict[str, int], others: str, refused: tuple[int, str]
) -> None:
    """Told at once, before the file is read; with a place free again the next one comes in."""
    limit(bench, **limits)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield HEADER
        await go_on.wait()
        yield ROW

    under_way = [asyncio.create_task(upload(client, slowly(), others)) for _ in range(2)]
    while bench.context.open_uploads.total < 2:
        await asyncio.sleep(0.01)
    assert await upload(client) == refused
    go_on.set()
    assert [status for status, _ in await asyncio.gather(*under_way)] == [201, 201]
    assert (await upload(client))[0] == 201
