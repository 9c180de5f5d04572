"""Steering an action: cancel it, pause it, let it go on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from app.context import AppContext
from app.domain import actions as domain
from app.domain.access import Principal, Role
from app.domain.printable import printable
from app.observability.logs import event
from app.services import lifecycle
from web.body import BODY_PROBLEMS, JsonBody
from web.errors.catalogue import ACTION_NOT_FOUND, INVALID_REASON, TRANSITION_NOT_ALLOWED
from web.inputs import reads
from web.openapi.models import Action
from web.openapi.operations import Answer, operation
from web.representations import action_to_response
from web.request_state import REQUEST_ID
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)

#: Longest reason, characters.
_MAX_REASON = 500


def _read_reason(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and len(value) <= _MAX_REASON):
        raise INVALID_REASON(limit=_MAX_REASON)
    return printable(value.strip(), _MAX_REASON) if value else None


class Reason(JsonBody):
    """Why something is done to an action."""

    reason: Annotated[
        str | None,
        reads(_read_reason, schema=Annotated[str, Field(max_length=_MAX_REASON)] | None),
        Field(description="For the history of the action."),
    ] = None


Step = Callable[[AppContext, domain.Action, Principal, str | None], Awaitable[domain.Action]]

#: What each of these can be answered with.
_PROBLEMS = (ACTION_NOT_FOUND, TRANSITION_NOT_ALLOWED, INVALID_REASON, *BODY_PROBLEMS)
#: The answer to a change of an action.
CHANGED: dict[int, Any] = {200: Answer("The action as it is then.", Action)}


@contextmanager
def refusals(asked: str) -> Iterator[None]:
    """Raise a refused transition as an error of the API; ``asked`` is what was to be done."""
    try:
        yield
    except domain.TransitionRefused as error:
        raise TRANSITION_NOT_ALLOWED(status=error.status, asked=asked) from None


class SteeringView(ApiView):
    """What is done to an action under way."""

    async def steer(self, request: web.Request, action_id: str, step: Step, asked: str) -> web.Response:
        """Do it, and answer with the action; ``asked`` is what was to be done, for whom is refused."""
        action = await self.action(request, action_id)
        reason = (await Reason.receive(request)).reason
        principal = self.principal(request)
        with refusals(asked):
            changed = await step(self.context, action, principal, reason)
        log.info(event(f"action {asked}", action=action.id, by=principal.name, request=request[REQUEST_ID]))
        return json_response(action_to_response(changed))


class ActionCancelView(SteeringView):
    """Cancelling an action."""

    @operation(
        "cancelBulkAction",
        CHANGED,
        *_PROBLEMS,
        role=Role.OPERATOR,
        body=Reason,
        details="No further chunk of it is begun; those in hand are finished and counted, so that the counters may "
        "still grow for a moment. Rows that never ran are `unprocessedCount`. What was written stays written.",
    )
    async def post(self, request: web.Request, action_id: str) -> web.Response:
        """End an action that has not ended."""
        return await self.steer(request, action_id, lifecycle.cancel, "cancelled")


class ActionPauseView(SteeringView):
    """Pausing an action."""

    @operation(
        "pauseBulkAction",
        CHANGED,
        *_PROBLEMS,
        role=Role.OPERATOR,
        body=Reason,
        details="No further chunk of it is begun until it is resumed; those in hand are finished and counted.",
    )
    async def post(self, request: web.Request, action_id: str) -> web.Response:
        """Pause an action that is queued or under way."""
        return await self.steer(request, action_id, lifecycle.pause, "paused")


class ActionResumeView(SteeringView):
    """Resuming an action."""

    @operation("resumeBulkAction", CHANGED, *_PROBLEMS, role=Role.OPERATOR, body=Reason)
    async def post(self, request: web.Request, action_id: str) -> web.Response:
        """Let a paused action go on."""
        return await self.steer(request, action_id, lifecycle.resume, "resumed")
