"""Every answer of a worker has protective headers and says nothing of the inside, whoever makes it and why."""

from __future__ import annotations

import re
import socket

import httpx
import pytest

from app.domain.access import Role
from tests.support.assertions import error_of
from tests.support.secured import Guarded
from tests.support.workers import Worker
from web.middleware.response_headers import PROTECTIVE
from web.openapi.page import content_security_policy
from web.routes import ROUTES

#: What an answer must not have: names of what it is made of, places in the code, addresses of services.
INSIDE = re.compile(
    r"traceback|\.py\b|\bline \d+|aiohttp|faust|python|mongo|redis|kafka|<html|127\.0\.0\.1|/tmp/",
    re.IGNORECASE,
)


#: The description of the API is the same for everybody, and its page has one style sheet.
OF_ITS_OWN = {
    "/openapi.json": {"Cache-Control": "no-cache"},
    "/docs": {"Cache-Control": "no-cache", "Content-Security-Policy": content_security_policy()},
}


#: What may be asked for again with its ETag, and so must be kept by who asks.
POLLED = re.compile(r"/bulk-actions(/[0-9a-f]{24}(/stats)?)?")


def _own(path: str) -> dict[str, str]:
    """The headers in which a successful answer differs from the others."""
    return {"Cache-Control": "private, no-cache"} if POLLED.fullmatch(path) else OF_ITS_OWN.get(path, {})


def check(answer: httpx.Response) -> httpx.Response:
    """Check the headers, and that nothing of the inside is told."""
    own = _own(answer.url.path) if answer.status_code == 200 and answer.request.method in {"GET", "HEAD"} else {}
    assert {name: answer.headers.get_list(name) for name in PROTECTIVE} == {
        name: [value] for name, value in {**PROTECTIVE, **own}.items()
    }
    assert answer.headers.get_list("Server") == ["bulk-operations"]
    assert "Strict-Transport-Security" not in answer.headers
    assert answer.headers["X-Request-ID"]
    return answer


def test_every_route_has_the_headers(guarded: Guarded) -> None:
    """Every route and method has the headers, with and without a credential."""
    key = {"X-API-Key": guarded.key("headers", Role.ADMIN)}
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "6b04d285235ca65e4442eb33", route.path)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for headers in ({}, key):
                check(guarded.worker.client.request(method, path, headers=headers))


@pytest.mark.parametrize("path", ["/nowhere", "/graph", "/stats", "/tables", "/table/", "/router/", "/performance/"])
def test_framework_pages_are_hidden(worker: Worker, path: str) -> None:
    """Pages of the framework are not served or say nothing."""
    answer = check(worker.client.get(path))
    assert error_of(answer)[0] == 404
    assert not INSIDE.search(answer.text)


def raw(worker: Worker, request: bytes) -> httpx.Response:
    """Send bytes; the answer, after which the worker closes."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as connection:
        connection.sendall(request)
        head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in lines]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /marked HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer marked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: mar\0ked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /bulk-actions HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /bulk-actions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: everything\r\nConnection: close\r\n\r\n", 417),
        (b"GET http://[bad HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ],
    ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else str(value),
)
def test_aiohttp_errors_have_our_form(worker: Worker, request_: bytes, status: int) -> None:
    """What aiohttp refuses itself has the form of all errors."""
    answer = check(raw(worker, request_))
    assert error_of(answer)[0] == status
    assert not INSIDE.search(answer.text)
    assert "marked" not in answer.text
    log = worker.log.read_text(errors="replace")
    assert "marked" not in log
    assert "Error handling request" not in log, "a client can cause it, so it is no error of ours"
