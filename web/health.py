"""Whether this worker lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from web.answers import Health, Readiness
from web.operations import Answer, operation
from web.views import ApiView, json_response

#: Longest wait for one dependency, seconds.
_TIMEOUT = 3.0


class HealthView(ApiView):
    """Liveness: the process serves requests."""

    @operation("getHealth", {200: Answer("The process lives.", Health)})
    async def get(self, request: web.Request) -> web.Response:
        """Answer as long as the event loop turns."""
        return json_response({"status": "UP"})


class ReadyView(ApiView):
    """Readiness: this worker has recovered its tables, and what it depends on answers."""

    @operation(
        "getReadiness",
        {200: Answer("Everything is up.", Readiness), 503: Answer("Something is not up.", Readiness)},
    )
    async def get(self, request: web.Request) -> web.Response:
        """Answer 200 when everything is up, else 503; either way with the state of each dependency."""
        platform = self.platform
        names = ("mongodb", "redis", "storage", "kafka")
        states = await asyncio.gather(
            _state(platform.store.check()),
            _state(platform.redis.ping()),
            _state(platform.storage.check()),
            _state(self._kafka()),
        )
        checks: dict[str, Any] = dict(zip(names, states, strict=True))
        checks["worker"] = "UP" if self._worker_ready() else "STARTING"
        up = all(state == "UP" for state in checks.values())
        return json_response({"status": "UP" if up else "DOWN", "checks": checks}, 200 if up else 503)

    def _worker_ready(self) -> bool:
        app = self.app
        return bool(
            app.tables.recovery.completed.is_set()
            and app.tables.actives_ready
            and not app.rebalancing
            and not app.should_stop
        )

    async def _kafka(self) -> None:
        # Fresh metadata from any broker; Faust offers nothing for it.
        producer = self.app.producer._ensure_producer()
        if not await producer.client.force_metadata_update():
            raise ConnectionError("no broker answers")


async def _state(check: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT):
            await check
    except Exception:
        return "DOWN"
    return "UP"
