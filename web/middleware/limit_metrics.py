"""How often which limit was met."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from app.observability.metrics import LIMITS_HIT
from web.errors.catalogue import LIMITS
from web.errors.problem import ApiError

for _problem in LIMITS:
    LIMITS_HIT.labels(_problem.code)
_CODES = frozenset(problem.code for problem in LIMITS)


@web.middleware
async def limit_metrics(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request that a limit refuses, by the code of its error."""
    try:
        return await handler(request)
    except ApiError as error:
        if error.code in _CODES:
            LIMITS_HIT.labels(error.code).inc()
        raise
