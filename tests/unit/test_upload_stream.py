"""The body of an upload while it arrives: its limits, with a connection that does what the test says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from app.settings import Settings
from tests.support.clocks import without_waiting
from web.errors.problem import ApiError
from web.upload.stream import UploadStream


def arriving(**settings: Any) -> tuple[UploadStream, StreamReader]:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    content = StreamReader(protocol, 2**16, loop=loop)
    values = {"upload_idle_timeout": 30, "upload_timeout": 60, "upload_min_rate": 0, "orphan_age": 0, **settings}
    return UploadStream(content, Settings(_env_file=None, **values)), content


async def refused(step: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        await step
    return caught.value.status, caught.value.code, caught.value.message


async def test_what_arrives_is_read_as_it_is() -> None:
    body, content = arriving()
    content.feed_data(b"line\nrest")
    assert await body.readline() == b"line\n"
    assert await body.read(3) == b"res"
    content.feed_eof()
    assert await body.read(10) == b"t"
    assert body.at_eof()
    assert await body.read(10) == b""


@pytest.mark.parametrize("reading", ["read", "readline"])
@without_waiting
async def test_silence_is_refused(reading: str) -> None:
    body, _ = arriving(upload_idle_timeout=30)
    told = (408, "UPLOAD_TOO_SLOW", "Nothing arrived for 30 seconds.")
    assert await refused(getattr(body, reading)()) == told


@pytest.mark.parametrize("buffered", [b"", b"x"])
async def test_slow_upload_is_refused(buffered: bytes) -> None:
    """An upload that lasts too long is refused even while it arrives."""
    body, content = arriving(upload_timeout=0.000001)
    content.feed_data(buffered)
    told = (408, "UPLOAD_TOO_SLOW", "The upload did not arrive within 1e-06 seconds.")
    assert await refused(body.read(1)) == told


@without_waiting
async def test_a_byte_now_and_then_is_refused() -> None:
    body, content = arriving(upload_idle_timeout=30, upload_timeout=3600, upload_min_rate=10)

    async def dribble() -> None:
        while True:
            content.feed_data(b"x")
            await asyncio.sleep(1)

    async def read_all() -> None:
        while True:
            await body.read(1)

    task = asyncio.create_task(dribble())
    assert await refused(read_all()) == (408, "UPLOAD_TOO_SLOW", "The upload is slower than 10 bytes per second.")
    task.cancel()


async def test_returned_bytes_are_not_counted() -> None:
    """What counts as file, or is given back, is not counted."""
    body, content = arriving()
    for _ in range(100):
        content.feed_data(b"x" * 2**16)
        body.count_as_file(len(await body.read(2**16)))
    for _ in range(100):
        content.feed_data(b"x" * 2**16)
        data = await body.read(2**16)
        with pytest.warns(DeprecationWarning):
            body.unread_data(data)
        body.count_as_file(len(await body.read(2**16)))


async def test_extra_parts_are_limited() -> None:
    """Beside the file no more than an envelope is read."""
    body, content = arriving()

    async def read_all() -> None:
        while True:
            content.feed_data(b"x" * 2**16)
            await body.read(2**16)

    assert (await refused(read_all()))[:2] == (413, "FORM_TOO_LARGE")
