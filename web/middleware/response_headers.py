"""Headers that every answer of a worker has, whoever makes it."""

from __future__ import annotations

from aiohttp import web

from web import headers as names
from web.request_state import RATE_LIMIT_HEADERS, REQUEST_ID

#: What a browser may do with an answer: nothing but show it to its user. A view may set another value.
PROTECTIVE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Instead of the names and versions of what it is made of.
SERVER = "bulk-operations"


def protect(response: web.StreamResponse) -> None:
    """Add the headers that the response does not have of its own. (HSTS is set where TLS ends.)"""
    for name, value in PROTECTIVE.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = SERVER


async def on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Add to a response that is about to be sent, a stream included, what every answer to its request has."""
    protect(response)
    if REQUEST_ID in request:
        response.headers[names.REQUEST_ID] = request[REQUEST_ID]
    # What is left of a limit, on every answer to a counted request, errors included.
    response.headers.update(request.get(RATE_LIMIT_HEADERS, {}))
