"""Rate limits: the requests of each account are counted behind access control."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.adapters.redis.rate_limits import RateLimitsUnavailable, Verdict
from app.context import AppContext
from app.observability.metrics import RATE_LIMITED, RATE_LIMITER_FAILURES
from web import headers
from web.errors.catalogue import COUNTED, RATE_LIMITS_UNAVAILABLE
from web.errors.catalogue import RATE_LIMITED as TOO_MANY_REQUESTS
from web.request_state import PRINCIPAL, RATE_LIMIT_HEADERS
from web.requested import names_nobody, requested_operation


def rate_limits(context: Callable[[], AppContext]) -> Middleware:
    """Return the middleware that refuses what an account asks for beyond its limits.

    What is refused is refused before anything of the body is read; aiohttp goes on reading it for a while, and drops
    it, so that the client can read the answer.
    """

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if PRINCIPAL not in request or names_nobody(request, context().settings):
            return await handler(request)
        kind = _kind(request)
        account_id = request[PRINCIPAL].account_id
        limits = context().settings.limits_of(account_id)
        limit = limits.uploads if kind == "uploads" else limits.reads
        if not limit:
            return await handler(request)
        try:
            verdict = await context().rate_limits.hit(account_id, kind, limit)
        except RateLimitsUnavailable:
            RATE_LIMITER_FAILURES.labels(kind).inc()
            if context().settings.rate_limit_fail == "closed":
                raise RATE_LIMITS_UNAVAILABLE() from None
            return await handler(request)
        request[RATE_LIMIT_HEADERS] = _headers(verdict)
        if not verdict.allowed:
            RATE_LIMITED.labels(kind).inc()
            raise TOO_MANY_REQUESTS(
                limit=limit,
                counted=COUNTED[kind],
                seconds=context().rate_limits.seconds,
                retry_after=verdict.retry_after(time.time()),
            )
        return await handler(request)

    return count


def _kind(request: web.Request) -> str:
    # A replay of a dead letter has no body to speak of, and who replays a hundred should not need twenty minutes.
    operation = requested_operation(request)
    return "uploads" if operation is not None and operation.form is not None else "reads"


def _headers(verdict: Verdict) -> dict[str, str]:
    return {
        headers.RATE_LIMIT: str(verdict.limit),
        headers.RATE_LIMIT_REMAINING: str(verdict.remaining),
        headers.RATE_LIMIT_RESET: str(int(verdict.reset_at) + 1),
    }
