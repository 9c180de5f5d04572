"""How many requests there were, how they ended and how long they took."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler

from app.observability.metrics import REQUEST_SECONDS, REQUESTS
from web.event_stream import EVENT_STREAM

#: Methods that are counted under their own name: a client may make up others.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@web.middleware
async def request_metrics(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request and its time, under the route that was found; a client cannot make up a label."""
    began = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(route, method, str(response.status)).inc()
    if response.content_type != EVENT_STREAM:
        # A stream lasts as long as somebody listens, which says nothing of how fast the answer is.
        REQUEST_SECONDS.labels(route, method).observe(time.perf_counter() - began)
    return response
