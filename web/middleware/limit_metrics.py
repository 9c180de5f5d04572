"""How often which limit was met, and by whom."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.context import AppContext
from app.domain.account_events import limit_hit
from app.observability.metrics import LIMITS_HIT
from web.errors.catalogue import LIMITS
from web.errors.problem import ApiError
from web.request_state import PRINCIPAL
from web.source_address import source_of

for _problem in LIMITS:
    LIMITS_HIT.labels(_problem.code)
_CODES = frozenset(problem.code for problem in LIMITS)


def limit_metrics(context: Callable[[], AppContext]) -> Middleware:
    """Return the middleware that counts requests that a limit refuses, and notes them as events of their accounts."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            if error.code in _CODES:
                LIMITS_HIT.labels(error.code).inc()
                _note(request, context(), error.code)
            raise

    return count


def _note(request: web.Request, context: AppContext, code: str) -> None:
    principal = request.get(PRINCIPAL)
    if principal is not None:
        source = source_of(request, context.settings.trusted_proxies)
        context.event_log.note(limit_hit(principal.account_id, code, source=source, actor=principal.name))
