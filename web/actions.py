"""Bulk actions: upload one, list them, look at one."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from app.domain.actions import ENDED, Status, presented, statistics
from app.domain.entities import find_entity
from app.messages import Feed
from web.admission import REPLAYED_HEADER
from web.errors import as_utf8, bad_request
from web.paging import next_link, read_cursor, read_limit
from web.uploads import receive
from web.views import ApiView, json_response

log = logging.getLogger(__name__)

#: Longest that an answer waits for the broker; the dispatcher sends what did not arrive.
_FEED_TIMEOUT = 1.0


class ActionsView(ApiView):
    """All actions of an account."""

    async def post(self, request: web.Request) -> web.Response:
        """Take an upload, and queue or schedule it."""
        action, replayed = await receive(request, self.platform, self.account(request))
        # As it was when it was made, however far it has come since.
        status = Status.SCHEDULED if action["scheduledAt"] else Status.QUEUED
        if status == Status.QUEUED and not replayed:
            await self._announce(action["_id"])
        return json_response(
            {
                "actionId": action["_id"],
                "status": status,
                "message": "Success! Your bulk action has been queued for processing.",
                "totalCount": action["totalCount"],
            },
            201,
            headers={REPLAYED_HEADER: "true"} if replayed else None,
        )

    async def _announce(self, action_id: str) -> None:
        """Tell the feeder; a broker that is away costs a moment, the dispatcher will tell it again."""
        try:
            await self.platform.topics.feed.send(Feed(action_id=action_id), timeout=_FEED_TIMEOUT)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("action %s not announced, the dispatcher will: %r", action_id, error)

    async def get(self, request: web.Request) -> web.Response:
        """List actions, newest first."""
        limit = read_limit(request)
        query = {"accountId": self.account(request), **_filters(request)}
        actions = await self.platform.store.actions.page(query, limit + 1, read_cursor(request))
        headers = {}
        if len(actions) > limit:
            actions = actions[:limit]
            headers["Link"] = next_link(request, actions[-1]["createdAt"], actions[-1]["_id"])
        return json_response([presented(action) for action in actions], headers=headers)


class ActionView(ApiView):
    """One action."""

    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Show the action with its newest counters."""
        return json_response(presented(await _newest(self, request, action_id)))


class ActionStatisticsView(ApiView):
    """The counters of one action."""

    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Show the counters, the speed and the time left."""
        return json_response(statistics(await _newest(self, request, action_id), datetime.now(UTC)))


async def _newest(view: ApiView, request: web.Request, action_id: str) -> dict[str, Any]:
    """Return an action, with the live counters where those are ahead of its document."""
    action = await view.action(request, action_id)
    if action["status"] in ENDED or action["status"] == Status.SCHEDULED:
        return action
    live = await view.platform.snapshots.get(action_id)
    if live.get("processedCount", 0) > action.get("processedCount", 0):
        action.update(live)
    return action


def _filters(request: web.Request) -> dict[str, str]:
    filters: dict[str, str] = {}
    if status := request.query.get("status", "").upper():
        if status not in Status.__members__:
            known = ", ".join(Status.__members__)
            raise bad_request(f"status must be one of {known}.", "INVALID_STATUS")
        filters["status"] = status
    if name := request.query.get("entityType"):
        entity = find_entity(name)
        filters["entityType"] = entity.name if entity else as_utf8(name)
    return filters
