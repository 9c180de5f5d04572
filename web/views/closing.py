"""Closing an action whose rows come over Kafka: how many there are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import Field

from app.domain.access import Role
from app.domain.streams import MOST_CHUNKS, AlreadyClosed, Declared, NotAStream
from app.observability.logs import event
from app.services.streams import close_stream
from web.body import BODY_PROBLEMS, JsonBody
from web.errors.catalogue import (
    ACTION_NOT_FOUND,
    ALREADY_CLOSED,
    INVALID_DECLARATION,
    NOT_A_STREAM,
    TRANSITION_NOT_ALLOWED,
)
from web.errors.problem import ApiError
from web.inputs import reads
from web.openapi.operations import operation
from web.representations import action_to_response
from web.request_state import REQUEST_ID
from web.views.base import ApiView, json_response
from web.views.lifecycle import CHANGED, refusals

log = logging.getLogger(__name__)

#: Rows of an action are numbers of 32 bits.
_MOST_ROWS = 2**32 - 1


def _refused() -> ApiError:
    return INVALID_DECLARATION(rows=_MOST_ROWS, chunks=MOST_CHUNKS)


def _reads_count(most: int) -> Any:
    def read(sent: object) -> int | None:
        if sent is not None and not (type(sent) is int and 0 <= sent <= most):
            raise _refused()
        return sent

    return reads(read, schema=Annotated[int, Field(ge=0, le=most)] | None)


class Declaration(JsonBody):
    """What an action has."""

    rows: Annotated[int | None, _reads_count(_MOST_ROWS), Field(description="How many rows.", examples=[20_000])] = None
    chunks: Annotated[
        int | None, _reads_count(MOST_CHUNKS), Field(description="How many chunks: messages with rows.", examples=[20])
    ] = None

    @classmethod
    def check(cls, sent: Mapping[str, Any]) -> tuple[Self | None, list[ApiError]]:
        """Return what was sent, and what is wrong with it."""
        found, faults = super().check(sent)
        nothing = found is not None and found.rows is None and found.chunks is None
        return found, faults or ([_refused()] if nothing else [])


class ActionCloseView(ApiView):
    """Closing an action."""

    @operation(
        "closeBulkAction",
        CHANGED,
        INVALID_DECLARATION,
        ACTION_NOT_FOUND,
        NOT_A_STREAM,
        ALREADY_CLOSED,
        TRANSITION_NOT_ALLOWED,
        *BODY_PROBLEMS,
        role=Role.OPERATOR,
        body=Declaration,
        details="The action ends when all of them are there and have run. Where they do not come, or others come, it "
        "is `FAILED`, with what is missing. Closing it again with the same numbers changes nothing.",
    )
    async def post(self, request: web.Request, action_id: str) -> web.Response:
        """Say how many rows or chunks an action has that come over Kafka."""
        action = await self.action(request, action_id)
        asked = await Declaration.receive(request)
        try:
            with refusals("closed"):
                by = self.principal(request).name
                closed = await close_stream(self.context, action, Declared(asked.rows, asked.chunks), by)
        except NotAStream:
            raise NOT_A_STREAM() from None
        except AlreadyClosed as error:
            raise ALREADY_CLOSED(reason=error) from None
        log.info(
            event(
                "stream closed",
                action=action.id,
                rows=asked.rows,
                chunks=asked.chunks,
                by=self.principal(request).name,
                request=request[REQUEST_ID],
            )
        )
        return json_response(action_to_response(closed))
