"""Pages: how long they are."""

from __future__ import annotations

from aiohttp import web

from web.errors import bad_request

_DEFAULT_LIMIT, _MAX_LIMIT = 50, 500


def read_limit(request: web.Request) -> int:
    """Return how many entries the client wants on a page.

    Raises:
        ApiError: 400 when it is not a number in range.
    """
    text = request.query.get("limit", str(_DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= _MAX_LIMIT):
        raise bad_request(f"limit must be a number from 1 to {_MAX_LIMIT}, not {text[:20]!r}.", "INVALID_LIMIT")
    return int(text)
