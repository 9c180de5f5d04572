"""What this worker has counted, for Prometheus."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.domain.access import Role
from web.openapi.operations import Answer, operation
from web.views.base import ApiView


class MetricsView(ApiView):
    """The figures of this worker; each worker has its own."""

    # They are of all accounts, so they are not for every viewer of one.
    @operation(
        "getMetrics",
        {200: Answer("The figures.", str, media_type="text/plain")},
        role=Role.ADMIN,
        open_if=lambda settings: settings.metrics_auth == "none",
    )
    async def get(self, request: web.Request) -> web.Response:
        """Show all figures, in the text format of Prometheus."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
