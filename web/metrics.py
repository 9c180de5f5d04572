"""What this worker has counted, for Prometheus."""

from __future__ import annotations

import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.metrics import REQUEST_SECONDS, REQUESTS
from web.access import Handler
from web.views import ApiView

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MetricsView(ApiView):
    """The figures of this worker; each worker has its own."""

    async def get(self, request: web.Request) -> web.Response:
        """Show all figures, in the text format of Prometheus."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request and its time, under the route that was found; a client cannot make up a label."""
    began = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(route, method, str(response.status)).inc()
    REQUEST_SECONDS.labels(route, method).observe(time.perf_counter() - began)
    return response
