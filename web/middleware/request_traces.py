"""A span for each request, as a part of the client's trace where it has one."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from app.domain.actions import is_action_id
from app.observability import tracing
from web.request_state import ERROR_CODE, MADE, REQUEST_ID
from web.requested import is_served, requested_operation

#: Asked for again and again by whoever watches the workers.
_WATCHED = frozenset({"getHealth", "getReadiness", "getMetrics", "listWorkers"})


@web.middleware
async def request_traces(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Trace a request of a route, without what it asks for."""
    operation = requested_operation(request)
    if not tracing.enabled() or operation is None or operation.name in _WATCHED or not is_served(request):
        return await handler(request)
    resource = request.match_info.route.resource
    route = "" if resource is None else resource.canonical
    action_id = request.match_info.get("action_id")
    said = {
        "action": action_id if action_id is not None and is_action_id(action_id) else None,
        "http.request.method": request.method,
        "http.route": route,
        "request": request[REQUEST_ID],
    }
    with tracing.request_span(f"{request.method} {route}", request.headers, said):
        response = await handler(request)
        answered = {"http.response.status_code": response.status, "code": request.get(ERROR_CODE)}
        tracing.set_attributes({**answered, **({"action": request[MADE]} if MADE in request else {})})
        return response
