"""Pages of other sites can neither post to a worker nor call it by a name of theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from app.settings import Settings
from tests.support.requests import request_to
from web.errors.problem import ApiError
from web.middleware.origins import host_is_known, origin_control
from web.views.actions import ActionsView


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "localhost",
        "LOCALHOST:3000",
        "bulk.localhost:3000",
        "127.0.0.1:3000",
        "[::1]:3000",
        "[::1]",
        "10.2.3.4:3000",
    ],
)
def test_local_names_are_known(host: str | None) -> None:
    """This machine and addresses are known.

    What a health check by address sends is no name, and no page can have a name of its own become one.
    """
    assert host_is_known(host, settings())


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1"]
)
def test_a_name_of_others_is_unknown(host: str) -> None:
    """A page can let a name of its own point to this machine, and would read what is answered to it."""
    assert not host_is_known(host, settings())
    assert not host_is_known(host, settings(allowed_hosts="bulk.example"))


@pytest.mark.parametrize("text", ["127.0.0.1]", "[::1", "a b", "x/y", "x?y", "%00"])
def test_what_is_no_host_is_unknown(text: str) -> None:
    assert not host_is_known(text, settings())


def test_names_can_be_allowed() -> None:
    allowed = settings(allowed_hosts="Bulk.example, worker", host="box.lan")
    for host in ("bulk.example", "bulk.example.:8080", "worker:3000", "box.lan:3000"):
        assert host_is_known(host, allowed)
    assert host_is_known("whatever.example", settings(allowed_hosts="*"))


def test_credentials_allow_any_host() -> None:
    """With credentials any name will do.

    No browser adds a key by itself: only names that are listed are then worth a look.
    """
    assert host_is_known("bulk.example", settings(auth_mode="required"))
    assert not host_is_known("evil.example", settings(auth_mode="required", allowed_hosts="bulk.example"))


async def send(method: str, **headers: str) -> int:
    """Send a request through the middleware to a route; the status of its answer."""

    async def view(request: web.Request) -> web.Response:
        return web.Response(status=201)

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = request_to(ActionsView, method, {"Host": "127.0.0.1:3000", **named})
    context = cast(Any, SimpleNamespace(settings=settings()))
    try:
        return int((await origin_control(lambda: context)(request, view)).status)
    except ApiError as error:
        assert error.code in {"CROSS_SITE", "UNKNOWN_HOST"}
        return error.status


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:3000"},
        {"Sec_Fetch_Site": "anything"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "null"},
        {"Host": "evil.example"},
    ],
)
async def test_foreign_page_cannot_write(headers: dict[str, str]) -> None:
    """A page of another site writes nothing."""
    assert await send("POST", **headers) == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}, {"Origin": "http://127.0.0.1:3000"}],
)
async def test_own_pages_and_clients_can_write(headers: dict[str, str]) -> None:
    """Pages of our own and clients that are no browsers may write."""
    assert await send("POST", **headers) == 201


async def test_foreign_link_can_be_followed() -> None:
    """A link from another site may be followed.

    Reading is harmless: a page cannot see what is answered to another origin.
    """
    assert await send("GET", Sec_Fetch_Site="cross-site") == 201
