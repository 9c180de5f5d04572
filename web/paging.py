"""Pages: how long they are, and where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field, PlainValidator

from app.domain.actions import iso
from web.inputs import reads
from web.openapi.operations import Header, Problem

DEFAULT_LIMIT, _MAX_LIMIT = 50, 500

INVALID_LIMIT = Problem(400, "INVALID_LIMIT", f"limit must be a number from 1 to {_MAX_LIMIT}, not '0'.")
INVALID_CURSOR = Problem(400, "INVALID_CURSOR", "cursor must be one that a Link header gave.")

#: The header of a page that is not the last.
NEXT_PAGE = {
    "Link": Header(
        "The next page (RFC 8288); absent on the last one.",
        '</bulk-actions?limit=50&cursor=MjAyNi0xMS0yM1Q>; rel="next"',
        required=False,
    )
}


def invalid_status(known: Iterable[str]) -> Problem:
    """Return the problem of a list that is asked for by a status that none of its entries can have."""
    return Problem(400, "INVALID_STATUS", f"status must be one of {', '.join(known)}.")


def reads_status(known: Collection[str], schema: Any) -> PlainValidator:
    """Annotate the status by which a list is asked for: one of these in upper or lower case, None when it is empty."""
    problem = invalid_status(known)

    def read(text: str) -> str | None:
        status = text.upper() or None
        if status is not None and status not in known:
            raise ValueError(problem.message)
        return status

    return reads(read, problem.code, schema | Literal[""])


def _read_limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= _MAX_LIMIT):
        raise ValueError(f"limit must be a number from 1 to {_MAX_LIMIT}, not {text[:20]!r}.")
    return int(text)


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        moment, _, entry_id = base64.urlsafe_b64decode(text.encode()).decode().partition("/")
        return datetime.fromisoformat(moment).astimezone(UTC), entry_id
    except (ValueError, OverflowError, binascii.Error):
        raise ValueError(INVALID_CURSOR.message) from None


#: How many entries the client wants on a page.
Limit = Annotated[
    int,
    reads(_read_limit, INVALID_LIMIT.code, Annotated[int, Field(ge=1, le=_MAX_LIMIT)]),
    Field(description="Entries on a page."),
]

#: The moment and id behind which the page begins; None for the first page.
Cursor = Annotated[
    tuple[datetime, str] | None,
    reads(_read_cursor, INVALID_CURSOR.code),
    Field(description="Where the page begins: take it from the `Link` header of the page before."),
]


def next_link(request: web.Request, moment: datetime, entry_id: str) -> str:
    """Return the ``Link`` header (RFC 8288) of the page behind the entry of that moment and id."""
    return link_to(request, base64.urlsafe_b64encode(f"{iso(moment)}/{entry_id}".encode()).decode())


def link_to(request: web.Request, cursor: str) -> str:
    """Return the ``Link`` header of the page at ``cursor``."""
    following = {**request.query, "cursor": cursor}
    return f'<{request.path}?{urlencode(following)}>; rel="next"'
