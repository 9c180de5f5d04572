"""The log of what was refused."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from app.observability.logs import event
from web.errors.problem import ApiError
from web.request_state import PRINCIPAL, REQUEST_ID

log = logging.getLogger(__name__)


@web.middleware
async def refusal_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log a request that is refused; not one that only reads, of which anybody may send any number."""
    try:
        return await handler(request)
    except ApiError as error:
        if request.method not in {"GET", "HEAD"}:
            log.info(
                event(
                    "refused",
                    method=request.method,
                    path=request.path,
                    status=error.status,
                    code=error.code,
                    account=request[PRINCIPAL].account_id if PRINCIPAL in request else None,
                    request=request[REQUEST_ID],
                )
            )
        raise
