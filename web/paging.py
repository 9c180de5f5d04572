"""Pages: how long they are, and where the next one begins."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from app.domain.actions import iso
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


def read_cursor(request: web.Request) -> tuple[datetime, str] | None:
    """Return the moment and id behind which the page begins; None for the first page.

    Raises:
        ApiError: 400 when it is not a cursor of ours.
    """
    cursor = request.query.get("cursor")
    if cursor is None:
        return None
    try:
        moment, _, entry_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("/")
        return datetime.fromisoformat(moment).astimezone(UTC), entry_id
    except (ValueError, OverflowError, binascii.Error):
        raise bad_cursor() from None


def next_link(request: web.Request, moment: datetime, entry_id: str) -> str:
    """Return the ``Link`` header (RFC 8288) of the page behind the entry of that moment and id."""
    return link_to(request, base64.urlsafe_b64encode(f"{iso(moment)}/{entry_id}".encode()).decode())


def link_to(request: web.Request, cursor: str) -> str:
    """Return the ``Link`` header of the page at ``cursor``."""
    following = {**request.query, "cursor": cursor}
    return f'<{request.path}?{urlencode(following)}>; rel="next"'


def bad_cursor() -> Exception:
    """The cursor is not one of ours (400)."""
    return bad_request("cursor must be one that a Link header gave.", "INVALID_CURSOR")
