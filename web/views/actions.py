"""Bulk actions: upload one, list them, look at one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import Field

from app.adapters.live_actions import with_live_counters
from app.domain import actions as domain
from app.domain.access import Role
from app.domain.actions import Status, is_action_id
from app.domain.entities import find_entity
from app.domain.idempotency import scoped
from app.domain.printable import as_utf8
from app.domain.schedules import check_schedule, parse_schedule
from app.domain.speed import Rate
from app.domain.timestamps import iso_utc
from app.observability.logs import event
from app.services import erasure
from app.services.scheduling import reschedule
from app.services.streams import open_stream
from web import headers as names
from web.body import BODY_PROBLEMS, JsonBody
from web.conditional import CONDITIONAL, UNCHANGED, conditional_json
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    INVALID_CURSOR,
    INVALID_LIMIT,
    INVALID_SCHEDULE,
    INVALID_SOURCE,
    INVALID_STATUS,
    NOTHING_TO_CHANGE,
    REPEATED_IDEMPOTENCY_KEY,
    SCHEDULE_TOO_FAR,
    TRANSITION_NOT_ALLOWED,
)
from web.errors.problem import ApiError
from web.inputs import Query, reads
from web.openapi.models import Accepted, Action, Deleted, ListedAction, OpenedStream, Statistics
from web.openapi.operations import JSON, Answer, Header, operation
from web.paging import DEFAULT_LIMIT, NEXT_PAGE, Cursor, Limit, cut, reads_status
from web.representations import (
    accepted_to_response,
    action_to_list_item,
    action_to_response,
    opened_to_response,
    statistics_to_response,
)
from web.request_state import MADE, REQUEST_ID
from web.upload.fields import UploadForm
from web.upload.handler import PROBLEMS, receive
from web.upload.idempotency import UploadHeaders, read_key, read_key_of_query
from web.upload.limits import limit_errors
from web.upload.opening import OpenStream
from web.views.base import ApiView, json_response
from web.views.lifecycle import CHANGED, refusals

log = logging.getLogger(__name__)


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
NEXT = {
    name: {"action_id": "$response.body#/actionId"}
    for name in ("getBulkAction", "getBulkActionStats", "listBulkActionRecords")
}


TAKEN = {
    "Location": Header("The path of the action.", "/bulk-actions/6b04d285235ca65e4442eb33"),
    names.IDEMPOTENCY_REPLAYED: Header("The same request had made this action before.", "true", required=False),
}


def _read_schedule(value: object) -> datetime | None:
    return None if value is None else parse_schedule(value)


class Changes(JsonBody):
    """What can be changed of an action."""

    scheduled_at: Annotated[
        datetime | None,
        reads(_read_schedule, INVALID_SCHEDULE, datetime | None),
        Field(description="When it is to be done: ISO 8601, UTC when it names no offset; null: now."),
    ]

    @classmethod
    def check(cls, sent: Mapping[str, Any]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, and what is wrong with it."""
        changes, faults = super().check(sent)
        return changes, faults or ([] if changes else [NOTHING_TO_CHANGE()])


class ActionsView(ApiView):
    """All actions of an account."""

    @operation(
        "createBulkAction",
        {
            201: Answer(
                "The file is taken, and its rows are counted; or the action is open for rows that come over Kafka.",
                Accepted | OpenedStream,
                headers=TAKEN,
                links=NEXT,
            )
        },
        *PROBLEMS,
        INVALID_SOURCE,
        *BODY_PROBLEMS,
        role=Role.OPERATOR,
        form=UploadForm,
        body=OpenStream,
        headers=UploadHeaders,
        details="The fields of the form may come in any order. Nothing of a refused upload is left behind.\n\n"
        "A JSON body opens an action (`OPEN`) whose rows come over Kafka, and which is closed with "
        "`POST /bulk-actions/{action_id}/close`. The same `Idempotency-Key` gives the same action, with another token: "
        "the one before is not valid any more.",
    )
    async def post(self, request: web.Request) -> web.Response:
        """Take an upload, and queue or schedule it; or open an action for rows that come over Kafka."""
        if request.content_type == JSON:
            return await self._open(request)
        action, replayed = await receive(request, self.context, self.principal(request))
        request[MADE] = action.id
        log.info(
            event(
                "upload answered again" if replayed else "upload stored",
                action=action.id,
                account=action.account_id,
                rows=action.total_count,
                bytes=action.file.size,
                scheduled=iso_utc(action.scheduled_at),
                request=request[REQUEST_ID],
            )
        )
        headers = {"Location": f"/bulk-actions/{action.id}"}
        if replayed:
            headers[names.IDEMPOTENCY_REPLAYED] = "true"
        return json_response(accepted_to_response(action), 201, headers)

    async def _open(self, request: web.Request) -> web.Response:
        principal = self.principal(request)
        key = read_key(request, principal.account_id)
        asked = await OpenStream.receive(request)
        with limit_errors():
            opened = await open_stream(self.context, principal, asked.order(key))
        action, settings = opened.action, self.context.settings
        request[MADE] = action.id
        log.info(
            event(
                "stream opened again" if opened.replayed else "stream opened",
                action=action.id,
                account=action.account_id,
                request=request[REQUEST_ID],
            )
        )
        headers = {"Location": f"/bulk-actions/{action.id}"}
        if opened.replayed:
            headers[names.IDEMPOTENCY_REPLAYED] = "true"
        return json_response(opened_to_response(opened, settings.kafka_topic, settings.chunk_bytes), 201, headers)

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
        account, key = self.account(request), asked.idempotency_key
        actions = await self.context.store.actions.page(
            account,
            asked.limit + 1,
            status=asked.status,
            entity_type=asked.entity_type,
            idempotency_key=key and scoped(account, key),
            before=asked.cursor,
        )
        actions, headers = cut(request, actions, asked.limit, lambda action: (action.created_at, action.id))
        return conditional_json(request, [action_to_list_item(action) for action in actions], headers)


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
        action, _ = await _newest(self, request, action_id)
        return conditional_json(request, action_to_response(action))

    @operation(
        "deleteBulkAction",
        {202: Answer("Nothing of it is shown any more, and what belongs to it is being deleted.", Deleted)},
        ACTION_NOT_FOUND,
        TRANSITION_NOT_ALLOWED,
        role=Role.OPERATOR,
        details="Only an action that has ended. Its file, the outcomes of its rows and its dead letters go with it; "
        "the records that it has written stay. To ask again is answered in the same way, for a week.",
    )
    async def delete(self, request: web.Request, action_id: str) -> web.Response:
        """Delete the action with all that belongs to it."""
        if not is_action_id(action_id):
            raise ACTION_NOT_FOUND()
        principal = self.principal(request)
        with refusals("deleted"):
            try:
                await erasure.delete(self.context, principal.account_id, action_id)
            except erasure.NoSuchAction:
                raise ACTION_NOT_FOUND() from None
        log.info(
            event(
                "action deleted",
                action=action_id,
                account=principal.account_id,
                by=principal.name,
                request=request[REQUEST_ID],
            )
        )
        return json_response({"actionId": action_id}, 202)

    @operation(
        "changeBulkAction",
        CHANGED,
        ACTION_NOT_FOUND,
        NOTHING_TO_CHANGE,
        INVALID_SCHEDULE,
        SCHEDULE_TOO_FAR,
        TRANSITION_NOT_ALLOWED,
        *BODY_PROBLEMS,
        role=Role.OPERATOR,
        body=Changes,
        details="Moves an action that is `SCHEDULED` to another time. At a time that is past, or null, it is done now.",
    )
    async def patch(self, request: web.Request, action_id: str) -> web.Response:
        """Change when the action is to be done."""
        action = await self.action(request, action_id)
        wanted = (await Changes.receive(request)).scheduled_at
        try:
            check_schedule(wanted, datetime.now(UTC), self.context.settings.schedule_max_days)
        except ValueError as error:
            raise SCHEDULE_TOO_FAR(reason=error) from None
        with refusals("moved to another time"):
            changed = await reschedule(self.context, action, wanted, self.principal(request))
        return json_response(action_to_response(changed))


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
        action, rate = await _newest(self, request, action_id)
        # The speed changes with the time alone, and is no news without a new count.
        shown = statistics_to_response(action, rate, datetime.now(UTC))
        return conditional_json(request, shown, same_as=action_to_response(action))


async def _newest(view: ApiView, request: web.Request, action_id: str) -> tuple[domain.Action, Rate | None]:
    """Return an action with its newest counters, and how fast it is if that is known."""
    return await with_live_counters(view.context.snapshots, await view.action(request, action_id))
