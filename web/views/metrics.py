"""What this worker has counted, for Prometheus."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.openapi.operations import Answer, operation
from web.views.base import ApiView


class MetricsView(ApiView):
    """The figures of this worker; each worker has its own."""

    @operation("getMetrics", {200: Answer("The figures.", str, media_type="text/plain")})
    async def get(self, request: web.Request) -> web.Response:
        """Show all figures, in the text format of Prometheus."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
