"""Whether this worker gets on, and whether it can do its work."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from app.kafka.membership import is_recovered
from web import headers
from web.openapi.models import Health, Readiness
from web.openapi.operations import OPEN, Answer, operation
from web.representations import dependencies_to_response, dependency_name
from web.views.base import ApiView, json_response


class HealthView(ApiView):
    """Liveness: the process serves requests, and its consumer is not stuck."""

    @operation(
        "getHealth",
        {200: Answer("The worker lives.", Health), 503: Answer("It is stuck: start it again.", Health)},
        role=OPEN,
        details="It fails when messages wait, none gets on for `STUCK_TIMEOUT`, and all that the worker depends on "
        "answers: then starting it again helps.",
    )
    async def get(self, request: web.Request) -> web.Response:
        """Answer 200 as long as the event loop turns and messages get on, else 503."""
        stuck = self.app.watch.stuck
        return json_response({"status": "DOWN" if stuck else "UP"}, 503 if stuck else 200)


class ReadyView(ApiView):
    """Readiness: this worker has recovered its tables, and what it depends on answers."""

    @operation(
        "getReadiness",
        {200: Answer("Everything is up.", Readiness), 503: Answer("Something is not up.", Readiness)},
        role=OPEN,
        details="Asked for through a gateway, it says the status only. It is looked at once a second at most.",
    )
    async def get(self, request: web.Request) -> web.Response:
        """Answer 200 when everything is up, else 503; either way with the state of each dependency."""
        states, optional = await asyncio.gather(
            self.context.dependencies.states(), self.context.optional_dependencies.states()
        )
        checks = {dependency_name(state): "UP" if state.ok else "DOWN" for state in states}
        checks["worker"] = "UP" if is_recovered(self.app) else "STARTING"
        up = all(state == "UP" for state in checks.values())
        answer: dict[str, Any] = {"status": "UP" if up else "DOWN"}
        # A proxy adds it. The state of single dependencies is for those who are in the network themselves.
        if headers.FORWARDED_FOR not in request.headers:
            answer["checks"] = checks
            answer["dependencies"] = dependencies_to_response(states, optional)
        return json_response(answer, 200 if up else 503)
