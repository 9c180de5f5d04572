"""Headers and errors of answers that no view of ours makes, on a server of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from web.middleware.response_headers import PROTECTIVE, SERVER, on_response_prepare
from web.server import ApiRunner


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    return response


async def page(_request: web.Request) -> web.Response:
    return web.Response(
        text="<p>", headers={"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-cache"}
    )


async def fail(_request: web.Request) -> web.Response:
    raise RuntimeError("what is inside")


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.on_response_prepare.append(on_response_prepare)
    app.add_routes([web.get("/stream", stream), web.get("/page", page), web.get("/fail", fail)])
    runner = ApiRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await runner.cleanup()


@pytest.mark.parametrize("path", ["/stream", "/fail", "/nowhere"])
async def test_bare_answers_are_protected(client: aiohttp.ClientSession, path: str) -> None:
    """Streams and failures without middlewares are protected."""
    async with client.get(path) as answer:
        assert {name: answer.headers.getall(name) for name in PROTECTIVE} == {n: [v] for n, v in PROTECTIVE.items()}
        assert answer.headers.getall("Server") == [SERVER]
        assert "inside" not in await answer.text()


async def test_page_may_set_its_own_headers(client: aiohttp.ClientSession) -> None:
    """A page may say itself what it may load, and how long it is kept."""
    async with client.get("/page") as answer:
        assert answer.headers.getall("Content-Security-Policy") == ["default-src 'self'"]
        assert answer.headers.getall("Cache-Control") == ["no-cache"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_outer_failure_is_an_error(client: aiohttp.ClientSession) -> None:
    """What fails outside of all middlewares is an error like all others."""
    async with client.get("/fail", headers={"Accept": "text/html"}) as answer:
        body = await answer.json()
        assert (answer.status, body["code"], body["requestId"]) == (500, "INTERNAL", answer.headers["X-Request-ID"])
