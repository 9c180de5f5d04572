"""The id of a request, by which an answer is found again in the logs."""

from __future__ import annotations

import re
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from app.observability.logs import log_context
from web import headers
from web.request_state import REQUEST_ID

#: A client may name its request; one of another form is replaced.
_USABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, the client's own if it sent a usable one."""
    sent = request.headers.get(headers.REQUEST_ID, "")
    request[REQUEST_ID] = sent if _USABLE.fullmatch(sent) else new_id()
    with log_context(request=request[REQUEST_ID]):
        return await handler(request)


def new_id() -> str:
    """Return an id that no other request has."""
    return uuid.uuid4().hex
