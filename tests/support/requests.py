"""Requests as a middleware sees them, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from web.request_state import REQUEST_ID
from web.views.base import ApiView


def request_to(
    view: type[ApiView] | None, method: str = "GET", headers: Mapping[str, str] | None = None
) -> web.Request:
    """A request that was routed to a view; with None, to a page that is none of ours."""
    request = make_mocked_request(method, "/", headers=headers)
    handler = object() if view is None else view(cast(Any, None), cast(Any, None)).__call__
    route = SimpleNamespace(resource=SimpleNamespace(canonical="/"))
    request._match_info = cast(Any, SimpleNamespace(route=route, handler=handler, http_exception=None))
    request[REQUEST_ID] = "x"
    return request
