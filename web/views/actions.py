"""Bulk actions: upload one, list them, look at one."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from app.domain.access import Role
from app.domain.actions import ENDED, Status, accepted, iso, listed, presented, statistics
from app.domain.entities import find_entity
from app.domain.idempotency import scoped
from app.domain.printable import as_utf8
from app.kafka.messages import Feed
from app.observability.logs import event
from web import headers as names
from web.conditional import CONDITIONAL, UNCHANGED, conditional_json
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    INVALID_CURSOR,
    INVALID_LIMIT,
    INVALID_STATUS,
    REPEATED_IDEMPOTENCY_KEY,
)
from web.inputs import Query, reads
from web.openapi.models import Accepted, Action, ListedAction, Statistics
from web.openapi.operations import Answer, Header, operation
from web.paging import DEFAULT_LIMIT, NEXT_PAGE, Cursor, Limit, cut, reads_status
from web.request_state import REQUEST_ID
from web.upload.fields import UploadForm
from web.upload.handler import PROBLEMS, receive
from web.upload.limits import UploadHeaders, read_key_of_query
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)

#: Longest that an answer waits for the broker; the dispatcher sends what did not arrive.
_FEED_TIMEOUT = 1.0


def _read_entity_type(text: str) -> str | None:
    entity = find_entity(text)
    return entity.name if entity else as_utf8(text) or None


class ActionsQuery(Query):
    """Which actions are listed."""

    limit: Limit = DEFAULT_LIMIT
    status: Annotated[
        str | None,
        reads_status(Status.__members__, Status),
        Field(description="Only actions with this status, in upper or lower case; empty: all."),
    ] = None
    entity_type: Annotated[str | None, reads(_read_entity_type), Field(description="Only actions on this entity.")] = (
        None
    )
    idempotency_key: Annotated[
        str | None,
        reads(read_key_of_query),
        Field(description="Only the action of this `Idempotency-Key`: finds the one whose answer was lost."),
    ] = None
    cursor: Cursor = None


#: What can be asked of an action that was just taken.
_NEXT = {
    name: {"action_id": "$response.body#/actionId"}
    for name in ("getBulkAction", "getBulkActionStats", "listBulkActionRecords")
}


_TAKEN = {
    "Location": Header("The path of the action.", "/bulk-actions/6b04d285235ca65e4442eb33"),
    names.IDEMPOTENCY_REPLAYED: Header("The same request had made this action before.", "true", required=False),
}


class ActionsView(ApiView):
    """All actions of an account."""

    @operation(
        "createBulkAction",
        {201: Answer("The file is taken, and its rows are counted.", Accepted, headers=_TAKEN, links=_NEXT)},
        *PROBLEMS,
        role=Role.OPERATOR,
        form=UploadForm,
        headers=UploadHeaders,
        details="The fields of the form may come in any order. Nothing of a refused upload is left behind.",
    )
    async def post(self, request: web.Request) -> web.Response:
        """Take an upload, and queue or schedule it."""
        action, replayed = await receive(request, self.context, self.account(request))
        # As it was when it was made, however far it has come since.
        status = Status.SCHEDULED if action["scheduledAt"] else Status.QUEUED
        log.info(
            event(
                "upload answered again" if replayed else "upload stored",
                action=action["_id"],
                account=action["accountId"],
                rows=action["totalCount"],
                bytes=action["fileSize"],
                scheduled=iso(action["scheduledAt"]),
                request=request[REQUEST_ID],
            )
        )
        if status == Status.QUEUED and not replayed:
            await self._announce(action["_id"])
        headers = {"Location": f"/bulk-actions/{action['_id']}"}
        if replayed:
            headers[names.IDEMPOTENCY_REPLAYED] = "true"
        return json_response(accepted(action), 201, headers)

    async def _announce(self, action_id: str) -> None:
        """Tell the feeder; a broker that is away costs a moment, the dispatcher will tell it again."""
        try:
            await self.context.topics.feed.send(Feed.announce(action_id), timeout=_FEED_TIMEOUT)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("action %s not announced, the dispatcher will: %r", action_id, error)

    @operation(
        "listBulkActions",
        {200: Answer("A page of actions.", list[ListedAction], headers={**NEXT_PAGE, **CONDITIONAL}), 304: UNCHANGED},
        INVALID_LIMIT,
        INVALID_STATUS,
        REPEATED_IDEMPOTENCY_KEY,
        INVALID_CURSOR,
        role=Role.VIEWER,
        query=ActionsQuery,
    )
    async def get(self, request: web.Request) -> web.Response:
        """List actions, newest first."""
        asked = ActionsQuery.read(request.query)
        query = {"accountId": self.account(request)}
        if asked.status:
            query["status"] = asked.status
        if asked.entity_type:
            query["entityType"] = asked.entity_type
        if asked.idempotency_key:
            query["idempotencyKey"] = scoped(query["accountId"], asked.idempotency_key)
        actions = await self.context.store.actions.page(query, asked.limit + 1, asked.cursor)
        actions, headers = cut(request, actions, asked.limit, lambda action: (action["createdAt"], action["_id"]))
        return conditional_json(request, [listed(action) for action in actions], headers)


class ActionView(ApiView):
    """One action."""

    @operation(
        "getBulkAction",
        {200: Answer("The action.", Action, headers=CONDITIONAL), 304: UNCHANGED},
        ACTION_NOT_FOUND,
        role=Role.VIEWER,
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Show the action with its newest counters."""
        return conditional_json(request, presented(await _newest(self, request, action_id)))


class ActionStatisticsView(ApiView):
    """The counters of one action."""

    @operation(
        "getBulkActionStats",
        {200: Answer("The counters.", Statistics, headers=CONDITIONAL), 304: UNCHANGED},
        ACTION_NOT_FOUND,
        role=Role.VIEWER,
    )
    async def get(self, request: web.Request, action_id: str) -> web.Response:
        """Show the counters, the speed and the time left."""
        action = await _newest(self, request, action_id)
        # The speed changes with the time alone, and is no news without a new count.
        return conditional_json(request, statistics(action, datetime.now(UTC)), same_as=presented(action))


async def _newest(view: ApiView, request: web.Request, action_id: str) -> dict[str, Any]:
    """Return an action, with the live counters where those are ahead of its document."""
    action = await view.action(request, action_id)
    if action["status"] in ENDED or action["status"] == Status.SCHEDULED:
        return action
    live = await view.context.snapshots.get(action_id)
    if live.get("processedCount", 0) > action.get("processedCount", 0):
        action.update(live)
    else:
        # The document has the same counters by now, and not the speed.
        action.update((name, live[name]) for name in ("recentRate", "recentRateAt") if name in live)
    return action
