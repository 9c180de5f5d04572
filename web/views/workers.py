"""All workers, and how each of them is."""

from __future__ import annotations

from aiohttp import web

from app.domain.access import DEFAULT_ACCOUNT, Role
from app.services.workers import Workers
from web.errors.catalogue import PLATFORM_ONLY
from web.openapi.models import WorkerList
from web.openapi.operations import Answer, operation
from web.representations import roll_to_response
from web.views.base import ApiView, json_response


class WorkersView(ApiView):
    """The workers of this installation, as the one that is asked knows them."""

    @operation(
        "listWorkers",
        {200: Answer("The workers.", WorkerList)},
        PLATFORM_ONLY,
        role=Role.ADMIN,
        details="They announce themselves every `WORKER_ANNOUNCE_SECONDS`. One that does so no more is `LOST` after "
        "three of these, and remembered for ten minutes; one that was stopped leaves at once. While Redis is away, the "
        "list has this worker alone, and `complete` is false. It is shown to admins of the account `default`.",
    )
    async def get(self, request: web.Request) -> web.Response:
        """List the workers, the oldest first."""
        # They are nobody's, as are dead letters that could not be read.
        if self.account(request) != DEFAULT_ACCOUNT:
            raise PLATFORM_ONLY()
        workers: Workers = self.app.workers
        return json_response(roll_to_response(await workers.roll(), workers.worker_id))
