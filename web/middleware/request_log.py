"""The log of requests, and the audit log of what somebody has changed, or was refused to.

A request is one line; one that would change something is one line of the audit log as well, whose logger ``audit`` can
be sent elsewhere. No line has a query, a header, a body, or the id of a record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.context import AppContext
from app.domain.printable import printable
from app.observability.audit import audit
from app.observability.logs import event
from web.request_state import AUDITED, ERROR_CODE, MADE, PRINCIPAL, REFUSAL, REQUEST_ID
from web.requested import is_served, requested_operation
from web.source_address import source_of

log = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Asked for again and again by whoever watches the workers.
_WATCHED = frozenset({"/health", "/ready", "/metrics", "/workers"})
#: A part of a path that may say whom a record is about.
_RECORD_ID = "record_id"
#: Longest id, path and method that is logged, characters.
_LONGEST = 200


def request_log(context: Callable[[], AppContext]) -> Middleware:
    """Return the middleware that logs each request when its answer is known."""

    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, response = time.perf_counter(), None
        try:
            response = await handler(request)
        finally:
            source = source_of(request, context().settings.trusted_proxies)
            _log(request, response, source, time.perf_counter() - began)
        return response

    return log_request


def _log(request: web.Request, response: web.StreamResponse | None, source: str | None, seconds: float) -> None:
    route = _route(request)
    principal = request.get(PRINCIPAL)
    common = {
        "method": printable(request.method, 20),
        "path": _path(request),
        # Of a connection that breaks while it is answered nobody knows a status.
        "status": None if response is None else response.status,
        "code": request.get(ERROR_CODE),
        "reason": request.get(REFUSAL),
        "account": None if principal is None else principal.account_id,
        "by": None if principal is None else principal.name,
        "source": source,
        "request": request[REQUEST_ID],
    }
    level = logging.DEBUG if route in _WATCHED else logging.INFO
    if log.isEnabledFor(level):
        size = None if response is None else _size(response)
        log.log(level, event("request", route=route, ms=round(seconds * 1000, 1), bytes=size, **common))
    if route is not None and request.method not in _SAFE_METHODS:
        operation = requested_operation(request)
        audit(
            printable(request.method, 20) if operation is None else operation.name,
            _result(response),
            role=None if principal is None else str(principal.role),
            made=request.get(MADE),
            **request.get(AUDITED, {}),
            **{name: printable(value, _LONGEST) for name, value in _subjects(request)},
            **common,
        )


def _route(request: web.Request) -> str | None:
    """Return the template of the path; None where there is no such path or method."""
    resource = request.match_info.route.resource
    return resource.canonical if is_served(request) and resource is not None else None


def _path(request: web.Request) -> str | None:
    """Return the path of a route; anything may stand in another one."""
    if _route(request) is None:
        return None
    path = request.path
    if (record_id := request.match_info.get(_RECORD_ID)) is not None:
        path = path.removesuffix(record_id) + f"{{{_RECORD_ID}}}"
    return printable(path, _LONGEST)


def _subjects(request: web.Request) -> list[tuple[str, str]]:
    """Return what a request would change: the parts of its path, by the names that the log has for them."""
    parts = request.match_info.items()
    return [(name.removesuffix("_id"), value) for name, value in parts if name != _RECORD_ID]


def _result(response: web.StreamResponse | None) -> str:
    if response is None or response.status >= 500:
        return "failed"
    return "refused" if response.status >= 400 else "done"


def _size(response: web.StreamResponse) -> int:
    """Return the bytes of the body: of a stream those that were sent."""
    body = response.body if isinstance(response, web.Response) else None
    return len(body) if isinstance(body, (bytes, bytearray)) else response.body_length if response.prepared else 0
