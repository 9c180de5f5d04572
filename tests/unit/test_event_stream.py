"""Server-sent events as they go over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

import web.event_stream as event_stream
from web.event_stream import ServerEvent, send_events

EVENT = ServerEvent("progress", "17", {"text": "a\nb", "n": 1})
WIRE = b'event: progress\nid: 17\ndata: {"text":"a\\nb","n":1}\n\n'

Events = Callable[[], AsyncIterator[list[ServerEvent]]]


class Served:
    """A server that answers everything with a stream, and knows when that has ended."""

    def __init__(self, events: Events) -> None:
        self.ended = asyncio.Event()
        self._events = events
        application = web.Application()
        application.router.add_get("/", self._answer)
        self.server = TestServer(application)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await send_events(request, self._events())
        finally:
            self.ended.set()

    async def __aenter__(self) -> Served:
        await self.server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()


async def few() -> AsyncIterator[list[ServerEvent]]:
    yield [EVENT, EVENT]
    yield []
    yield [EVENT]


async def endless() -> AsyncIterator[list[ServerEvent]]:
    while True:
        yield [EVENT] * 1000
        await asyncio.sleep(0)


async def test_events_on_the_wire() -> None:
    """Events have their name, id and data; silence is a comment; the stream ends when there are no more."""
    async with Served(few) as served, ClientSession() as client, client.get(served.server.make_url("/")) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store", "no")
        assert await answer.read() == b"retry: 2000\n\n" + 2 * WIRE + b": nothing new\n\n" + WIRE


async def test_head_has_no_events() -> None:
    """Who asks for the headers gets these alone."""
    async with Served(endless) as served, ClientSession() as client:
        async with client.head(served.server.make_url("/")) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
        await asyncio.wait_for(served.ended.wait(), 60)


async def test_slow_reader_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not read loses its connection, instead of being written for without an end."""
    monkeypatch.setattr(event_stream, "_SLOW", 0.2)
    async with Served(endless) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(served.ended.wait(), 60)
        with pytest.raises(ConnectionResetError):
            while await reader.read(2**20):
                pass
            raise ConnectionResetError
        writer.close()


async def test_stream_ends_with_its_client() -> None:
    """When the client has gone nothing more is made for it."""
    async with Served(endless) as served:
        async with ClientSession() as client, client.get(served.server.make_url("/")) as answer:
            await answer.content.readany()
        await asyncio.wait_for(served.ended.wait(), 60)


async def test_failing_stream_is_ended() -> None:
    """A fault behind the headers ends the stream, and is no second answer."""

    async def failing() -> AsyncIterator[list[ServerEvent]]:
        yield [EVENT]
        raise RuntimeError

    async with Served(failing) as served, ClientSession() as client, client.get(served.server.make_url("/")) as answer:
        assert await answer.read() == b"retry: 2000\n\n" + WIRE
