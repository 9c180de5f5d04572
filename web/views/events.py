"""Actions as they change, told to whoever keeps the connection open (server-sent events)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.context import AppContext
from app.domain.access import KeysUnavailable, Role, Unauthenticated
from app.domain.faults import PassingFault
from app.domain.watching import LiveState, Watch
from web.errors.catalogue import ACTION_NOT_FOUND, TOO_MANY_OPEN_STREAMS, TOO_MANY_STREAMS
from web.event_stream import EVENT_STREAM, HEARTBEAT, ServerEvent, send_events
from web.inputs import Input, reads
from web.open_requests import counted
from web.openapi.models import ServerSentEvent
from web.openapi.operations import Answer, operation
from web.representations import statistics_to_response
from web.views.base import ApiView

_DETAILS = (
    "An event has the data of `GET /bulk-actions/{action_id}/stats`. It is a `status` where the status is another one "
    "than in the event before, else `progress`, which comes at most every 250 ms. After 15 seconds without news a "
    "comment is sent. A client that comes again with `Last-Event-ID`, as browsers do by themselves, is told what has "
    "changed since. Whoever reads too slowly is dropped, and a stream ends soon after its credential is not valid any "
    "more."
)
#: Seconds after which the credential of a stream is looked at again.
_CREDENTIAL_STANDS = HEARTBEAT
_STREAM = Answer("Events, as they happen.", ServerSentEvent, media_type=EVENT_STREAM)


def _read_event_id(text: str) -> datetime | None:
    """Return the time that an id stands for; what is no id of ours stands for none."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        return None
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class StreamHeaders(Input):
    """Where a stream is to go on."""

    last_event_id: Annotated[
        datetime | None,
        reads(_read_event_id),
        Field(alias="Last-Event-ID", description="The `id` of the last event that was received."),
    ] = None


class _StreamView(ApiView):
    """What is told for as long as its client may be told."""

    async def send(self, request: web.Request, watch: Watch) -> web.StreamResponse:
        """Answer with what a watcher is told."""
        return await send_events(request, self._events(request, watch))

    async def _events(self, request: web.Request, watch: Watch) -> AsyncIterator[list[ServerEvent]]:
        """Yield what is told to a watcher, until it is let go, its only action or its credential has ended.

        After ``EVENT_STREAM_SECONDS`` the stream ends as well, and its client comes again.
        """
        statuses: dict[str, str] = {}
        looked = time.monotonic()
        ends = looked + self.context.settings.event_stream_seconds
        while not watch.closed:
            left = ends - time.monotonic()
            states = await watch.next(max(0.0, min(HEARTBEAT, left)))
            if not states and left <= HEARTBEAT:
                return
            if (now := time.monotonic()) - looked >= _CREDENTIAL_STANDS:
                if not await self._is_let_in(request):
                    return
                looked = now
            yield [_event(state, statuses) for state in states]
            if watch.action_id is not None and any(state.action.ended for state in states):
                return

    async def _is_let_in(self, request: web.Request) -> bool:
        """Tell whether the request would be let in now as it was; while nobody can say, it is."""
        try:
            return await self.context.authenticator.principal(request.headers) == self.principal(request)
        except Unauthenticated:
            return False
        except (KeysUnavailable, PassingFault):
            return True


class ActionEventsView(_StreamView):
    """The changes of one action."""

    @operation(
        "watchBulkAction",
        {200: _STREAM, 204: Answer("The action has ended, and the client knows.")},
        ACTION_NOT_FOUND,
        TOO_MANY_OPEN_STREAMS,
        TOO_MANY_STREAMS,
        role=Role.VIEWER,
        headers=StreamHeaders,
        details=f"{_DETAILS} The first event says how the action is now; after the one that says that it has ended, "
        "the stream ends.",
    )
    async def get(self, request: web.Request, action_id: str) -> web.StreamResponse:
        """Tell how an action goes on."""
        action, known = await self.action(request, action_id), StreamHeaders.read(request.headers).last_event_id
        if action.ended and known is not None and _id(action.updated_at) == _id(known):
            # A browser that is told so does not come again.
            return web.Response(status=204)
        with _stream(self.context, action.account_id):
            async with self.context.live.watch(action.account_id, action_id) as watch:
                return await self.send(request, watch)


class EventsView(_StreamView):
    """The changes of all actions of an account."""

    @operation(
        "watchBulkActions",
        {200: _STREAM},
        TOO_MANY_OPEN_STREAMS,
        TOO_MANY_STREAMS,
        role=Role.VIEWER,
        headers=StreamHeaders,
        details=_DETAILS,
    )
    async def get(self, request: web.Request) -> web.StreamResponse:
        """Tell how all actions go on."""
        account, since = self.account(request), StreamHeaders.read(request.headers).last_event_id
        with _stream(self.context, account):
            async with self.context.live.watch(account, since=since) as watch:
                return await self.send(request, watch)


def _stream(context: AppContext, account_id: str) -> AbstractContextManager[None]:
    """Count a stream while it is sent."""
    return counted(
        context.open_streams,
        account_id,
        most=context.settings.max_event_streams,
        most_of_account=context.settings.max_event_streams_per_account,
        of_worker=TOO_MANY_STREAMS,
        of_account=TOO_MANY_OPEN_STREAMS,
    )


def _event(state: LiveState, statuses: dict[str, str]) -> ServerEvent:
    action = state.action
    name = "progress" if statuses.get(action.id) == action.status else "status"
    if action.ended:
        statuses.pop(action.id, None)
    else:
        statuses[action.id] = action.status
    return ServerEvent(name, _id(action.updated_at), statistics_to_response(action, state.rate, datetime.now(UTC)))


def _id(moment: datetime | None) -> str:
    return "0" if moment is None else str(int(moment.timestamp() * 1000))
