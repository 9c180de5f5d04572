"""Dead letters: list them, and replay one."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from app.domain.access import DEFAULT_ACCOUNT
from app.domain.dead_letters import Obstacle, presented
from app.services import replays
from web.errors import ApiError, as_utf8, unavailable
from web.inputs import Query, reads
from web.openapi.models import DeadLetter, Replayed
from web.openapi.operations import Answer, Problem, operation
from web.paging import DEFAULT_LIMIT, INVALID_CURSOR, INVALID_LIMIT, NEXT_PAGE, Cursor, Limit, next_link
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)


class DeadLettersQuery(Query):
    """Which dead letters are listed."""

    limit: Limit = DEFAULT_LIMIT
    action_id: Annotated[
        str | None, reads(as_utf8, "INVALID_ACTION_ID"), Field(description="Only letters of this action.")
    ] = None
    status: Annotated[
        str | None,
        reads(as_utf8, "INVALID_STATUS"),
        Field(description="Only letters with this status: `DEAD`, `REPLAYED` while a replay runs, `DONE`."),
    ] = None
    cursor: Cursor = None


class DeadLettersView(ApiView):
    """What could not be done, or not be read."""

    @operation(
        "listDeadLetters",
        {200: Answer("A page of dead letters.", list[DeadLetter], headers=NEXT_PAGE)},
        INVALID_LIMIT,
        INVALID_CURSOR,
        query=DeadLettersQuery,
    )
    async def get(self, request: web.Request) -> web.Response:
        """List dead letters, newest first."""
        asked = DeadLettersQuery.read(request.query)
        query: dict[str, Any] = {"accountId": {"$in": _visible(self.account(request))}}
        if asked.action_id is not None:
            query["actionId"] = asked.action_id
        if asked.status is not None:
            query["status"] = asked.status
        letters = await self.context.store.dead_letters.page(query, asked.limit + 1, asked.cursor)
        headers = {}
        if len(letters) > asked.limit:
            letters = letters[: asked.limit]
            headers["Link"] = next_link(request, letters[-1]["at"], letters[-1]["_id"])
        return json_response([presented(letter) for letter in letters], headers=headers)


class DeadLetterReplayView(ApiView):
    """Running a dead letter again."""

    @operation(
        "replayDeadLetter",
        {202: Answer("The message is sent again.", Replayed)},
        Problem(404, "DEAD_LETTER_NOT_FOUND", "Dead letter not found"),
        *(Problem(409, obstacle.name, obstacle.value) for obstacle in Obstacle),
        Problem(409, "ALREADY_REPLAYED", "This dead letter has been replayed already."),
    )
    async def post(self, request: web.Request, letter_id: str) -> web.Response:
        """Run the message again where it came from: the letter is `DONE`, or `DEAD` again with the reason."""
        letter = await self.context.store.dead_letters.get(as_utf8(letter_id))
        if letter is None or letter.get("accountId") not in _visible(self.account(request)):
            raise ApiError(404, "Dead letter not found", "DEAD_LETTER_NOT_FOUND")
        if letter["status"] == "DEAD" and (obstacle := await replays.obstacle(self.context, letter)) is not None:
            raise ApiError(409, obstacle.value, obstacle.name)
        try:
            started = await replays.start(self.context, letter)
        except Exception as error:
            log.warning("dead letter %s not sent: %r", letter_id, error)
            raise unavailable("The broker is away, please try again later.") from None
        if not started:
            raise ApiError(409, "This dead letter has been replayed already.", "ALREADY_REPLAYED")
        return json_response({"id": letter_id, "status": "REPLAYED"}, 202)


def _visible(account_id: str) -> list[str | None]:
    """Return whose letters an account sees: what belongs to nobody is the default account's."""
    return [account_id, None] if account_id == DEFAULT_ACCOUNT else [account_id]
