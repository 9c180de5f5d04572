"""Answers that are sent while they are made: whole, or visibly broken off, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.services.ahead import ahead
from tests.support.waiting import eventually
from web import downloads
from web.downloads import send_pieces
from web.errors.catalogue import NO_ROWS
from web.errors.problem import ApiError
from web.request_state import REQUEST_ID

BLOCK = b"x" * 100_000


class Source:
    """Pieces that remember how many were made, and whether somebody has closed them."""

    def __init__(self, count: int, *, fails_at: int | None = None, fault: Exception | None = None) -> None:
        self.count, self.fails_at, self.fault = count, fails_at, fault or OSError("away")
        self.made = 0
        self.closed = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while self.made < self.count:
                if self.made == self.fails_at:
                    raise self.fault
                self.made += 1
                yield BLOCK
                await asyncio.sleep(0)
        finally:
            self.closed = True


@asynccontextmanager
async def serving(source: Source) -> AsyncIterator[TestClient[Any, Any]]:
    async def get(request: web.Request) -> web.StreamResponse:
        request[REQUEST_ID] = "x"
        try:
            return await send_pieces(request, ahead(source.pieces()), "text/csv", {"X-Mine": "1"})
        except (ApiError, OSError) as error:
            return web.Response(status=503, text=str(error))

    application = web.Application()
    application.router.add_get("/", get)
    async with TestClient(TestServer(application)) as client:
        yield client


async def test_all_pieces_are_sent() -> None:
    source = Source(30)
    async with serving(source) as client, client.get("/") as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["X-Mine"] == "1"
        assert await answer.read() == BLOCK * 30
    assert source.closed


async def test_nothing_is_a_whole_answer() -> None:
    async with serving(Source(0)) as client, client.get("/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_head_makes_one_piece() -> None:
    """A HEAD request is answered with the headers alone, and nothing more is made than it takes to know them."""
    source = Source(1000)
    async with serving(source) as client, client.head("/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert source.closed
    assert source.made <= 2


@pytest.mark.parametrize("fault", [OSError("away"), NO_ROWS()])
async def test_early_fault_has_an_answer(fault: Exception) -> None:
    """What is wrong before anything is sent is an answer of its own."""
    source = Source(9, fails_at=0, fault=fault)
    async with serving(source) as client, client.get("/") as answer:
        assert answer.status == 503
    assert source.closed


@pytest.mark.parametrize("at", [1, 20])
async def test_late_fault_breaks_off(at: int) -> None:
    """Whoever is sent a part sees that it is not the whole."""
    source = Source(30, fails_at=at)
    async with serving(source) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/") as answer:
                await answer.read()
    assert source.closed


async def test_gone_client_ends_the_work() -> None:
    """When the client goes away nothing more is made."""
    source = Source(1_000_000)
    async with serving(source) as client:
        answer = await client.get("/")
        await answer.content.readexactly(len(BLOCK))
        answer.close()
        await eventually(lambda: source.closed, "the pieces are closed")
    assert source.made < 1000


async def test_stalled_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing holds no worker for ever."""
    monkeypatch.setattr(downloads, "_SLOW", 0.2)
    source = Source(1_000_000)
    async with serving(source) as client:
        answer = await client.get("/")
        await eventually(lambda: source.closed, "the pieces are closed")
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


# Reading ahead


async def test_one_piece_is_made_ahead() -> None:
    """While a piece is used the next is made, and not the one after it."""
    source = Source(10)
    pieces = ahead(source.pieces())
    await anext(pieces)
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.made == 2
    await pieces.aclose()
    assert source.closed


async def test_fault_comes_in_its_place() -> None:
    """What goes wrong ahead is told when its turn comes."""
    source = Source(10, fails_at=2)
    pieces = ahead(source.pieces())
    assert [await anext(pieces), await anext(pieces)] == [BLOCK, BLOCK]
    with pytest.raises(OSError, match="away"):
        await anext(pieces)
    assert source.closed


async def test_unwanted_fault_is_forgotten() -> None:
    """What goes wrong with a piece that nobody asks for any more is nobody's concern."""
    source = Source(10, fails_at=1)
    pieces = ahead(source.pieces())
    await anext(pieces)
    for _ in range(20):
        await asyncio.sleep(0)
    await pieces.aclose()
    assert source.closed


async def test_cancelled_reader_leaves_nothing() -> None:
    """Whoever is cancelled while waiting has cancelled the work."""
    source = Source(10)
    started = asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes, None]:
        async for piece in source.pieces():
            yield piece
            started.set()
            await asyncio.sleep(3600)

    async def read() -> None:
        pieces = ahead(slowly())
        try:
            async for _ in pieces:
                pass
        finally:
            await pieces.aclose()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1
