"""How much may pass: the middleware behind access control, which counts the requests of each account."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from app.adapters.redis.rate_limits import RateLimitsUnavailable, Verdict
from app.context import AppContext
from app.domain.access import Principal
from app.observability.metrics import RATE_LIMITED, RATE_LIMITER_FAILURES
from app.services.authentication import ACCOUNT_HEADER
from web.errors import too_many_requests, unavailable
from web.middleware.access import Handler

_HEADERS = "rate limit headers"


@web.middleware
async def rate_limit_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in every answer to a counted request, be it an error, what is left."""
    response = await handler(request)
    if not response.prepared:
        response.headers.update(request.get(_HEADERS, {}))
    return response


def rate_limits(context: Callable[[], AppContext]) -> Any:
    """Return the middleware that refuses what an account asks for beyond its limits.

    What is refused is refused before anything of the body is read; aiohttp goes on reading it for a while, and drops
    it, so that the client can read the answer.
    """

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal: Principal | None = request.get("principal")
        if principal is None or _nobody(request, context().settings.auth_mode):
            return await handler(request)
        kind = _kind(request)
        limits = context().settings.limits_of(principal.account_id)
        limit = limits.uploads if kind == "uploads" else limits.reads
        if not limit:
            return await handler(request)
        try:
            verdict = await context().rate_limits.hit(principal.account_id, kind, limit)
        except RateLimitsUnavailable:
            RATE_LIMITER_FAILURES.labels(kind).inc()
            if context().settings.rate_limit_fail == "closed":
                raise unavailable(
                    "Requests cannot be counted now, and none passes uncounted. Please try again later.",
                    "RATE_LIMITS_UNAVAILABLE",
                ) from None
            return await handler(request)
        request[_HEADERS] = _headers(verdict)
        if not verdict.allowed:
            RATE_LIMITED.labels(kind).inc()
            raise too_many_requests(
                f"The account may send {limit} {_WORDS[kind]} in {context().rate_limits.seconds} seconds.",
                "RATE_LIMITED",
                verdict.retry_after(time.time()),
            )
        return await handler(request)

    return count


#: What is counted, in the words of a client.
_WORDS = {"uploads": "uploads", "reads": "requests other than uploads"}


def _kind(request: web.Request) -> str:
    # A replay of a dead letter has no body to speak of, and who replays a hundred should not need twenty minutes.
    resource = request.match_info.route.resource
    is_upload = resource is not None and (request.method, resource.canonical) == ("POST", "/bulk-actions")
    return "uploads" if is_upload else "reads"


def _nobody(request: web.Request, auth_mode: str) -> bool:
    """Tell whether the request speaks for no account in particular."""
    return auth_mode == "none" and ACCOUNT_HEADER not in request.headers


def _headers(verdict: Verdict) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(verdict.limit),
        "X-RateLimit-Remaining": str(verdict.remaining),
        "X-RateLimit-Reset": str(int(verdict.reset_at) + 1),
    }
