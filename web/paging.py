"""Pages: how long they are, and where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field, PlainValidator

from app.domain.timestamps import iso_utc
from web.errors.catalogue import INVALID_CURSOR, INVALID_LIMIT, INVALID_STATUS
from web.inputs import reads
from web.openapi.operations import Header

DEFAULT_LIMIT, _MAX_LIMIT = 50, 500

Entry = TypeVar("Entry")

#: The header of a page that is not the last.
NEXT_PAGE = {
    "Link": Header(
        "The next page (RFC 8288); absent on the last one.",
        '</bulk-actions?limit=50&cursor=MjAyNi0xMS0yM1Q>; rel="next"',
        required=False,
    )
}


def reads_status(known: Collection[str], schema: Any) -> PlainValidator:
    """Annotate the status by which a list is asked for: one of these in upper or lower case, None when it is empty."""

    def read(text: str) -> str | None:
        status = text.upper() or None
        if status is not None and status not in known:
            raise INVALID_STATUS(known=", ".join(known))
        return status

    return reads(read, schema=schema | Literal[""])


def _read_limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= _MAX_LIMIT):
        raise INVALID_LIMIT(highest=_MAX_LIMIT, sent=text[:20])
    return int(text)


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        timestamp, _, entry_id = base64.urlsafe_b64decode(text.encode()).decode().partition("/")
        return datetime.fromisoformat(timestamp).astimezone(UTC), entry_id
    except (ValueError, OverflowError, binascii.Error):
        raise INVALID_CURSOR() from None


#: How many entries the client wants on a page.
Limit = Annotated[
    int,
    reads(_read_limit, schema=Annotated[int, Field(ge=1, le=_MAX_LIMIT)]),
    Field(description="Entries on a page."),
]

#: How every cursor is described.
CURSOR = Field(description="Where the page begins: take it from the `Link` header of the page before.")

#: The timestamp and id behind which the page begins; None for the first page.
Cursor = Annotated[
    tuple[datetime, str] | None,
    reads(_read_cursor),
    CURSOR,
]


def cut(
    request: web.Request, found: list[Entry], limit: int, position: Callable[[Entry], tuple[datetime, str]]
) -> tuple[list[Entry], dict[str, str]]:
    """Return the entries of a page and its headers.

    Args:
        request: What is answered.
        found: The entries from where the page begins, at least one more than it may have, or all there are.
        limit: How many it may have.
        position: Returns the timestamp and id by which an entry is ordered.
    """
    if len(found) <= limit:
        return found, {}
    timestamp, entry_id = position(found[limit - 1])
    cursor = base64.urlsafe_b64encode(f"{iso_utc(timestamp)}/{entry_id}".encode()).decode()
    return found[:limit], next_page(request, cursor)


def next_page(request: web.Request, cursor: str) -> dict[str, str]:
    """Return the ``Link`` header (RFC 8288) to the page at ``cursor``."""
    query = urlencode({**request.query, "cursor": cursor})
    return {"Link": f'<{request.rel_url.raw_path}?{query}>; rel="next"'}
