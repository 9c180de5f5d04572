"""Headers that every answer of a worker has, whoever makes it."""

from __future__ import annotations

from aiohttp import web

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


async def on_response_prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Protect a response that is about to be sent, a stream included."""
    protect(response)
