"""Dead letters: list them, and replay one."""

from __future__ import annotations

import logging
from typing import Annotated

from aiohttp import web
from pydantic import Field

from app.domain.access import DEFAULT_ACCOUNT, Role
from app.domain.account_events import dead_letter_replayed
from app.domain.dead_letters import DeadLetter as Letter
from app.domain.faults import Dependency
from app.domain.printable import as_utf8
from app.services.replays import find_obstacle, start_replay
from web.errors.catalogue import (
    ALREADY_REPLAYED,
    DEAD_LETTER_NOT_FOUND,
    DEPENDENCY_AWAY,
    INVALID_CURSOR,
    INVALID_LIMIT,
    OBSTACLES,
)
from web.inputs import Query, reads
from web.openapi.models import DeadLetter, Replayed
from web.openapi.operations import Answer, operation
from web.paging import DEFAULT_LIMIT, NEXT_PAGE, Cursor, Limit, cut
from web.representations import dead_letter_to_response
from web.views.base import ApiView, json_response

log = logging.getLogger(__name__)


class DeadLettersQuery(Query):
    """Which dead letters are listed."""

    limit: Limit = DEFAULT_LIMIT
    action_id: Annotated[str | None, reads(as_utf8), Field(description="Only letters of this action.")] = None
    status: Annotated[
        str | None,
        reads(as_utf8),
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
        role=Role.OPERATOR,
        query=DeadLettersQuery,
    )
    async def get(self, request: web.Request) -> web.Response:
        """List dead letters, newest first."""
        asked = DeadLettersQuery.read(request.query)
        letters = await self.context.store.dead_letters.page(
            _visible(self.account(request)),
            asked.limit + 1,
            action_id=asked.action_id,
            status=asked.status,
            before=asked.cursor,
        )
        letters, headers = cut(request, letters, asked.limit, lambda letter: (letter.at, letter.id))
        return json_response([dead_letter_to_response(letter) for letter in letters], headers=headers)


class DeadLetterView(ApiView):
    """One dead letter."""

    @operation(
        "getDeadLetter", {200: Answer("The dead letter.", DeadLetter)}, DEAD_LETTER_NOT_FOUND, role=Role.OPERATOR
    )
    async def get(self, request: web.Request, letter_id: str) -> web.Response:
        """Get a dead letter."""
        return json_response(dead_letter_to_response(await _letter_of(self, request, letter_id)))


class DeadLetterReplayView(ApiView):
    """Running a dead letter again."""

    @operation(
        "replayDeadLetter",
        {202: Answer("The message is sent again.", Replayed)},
        DEAD_LETTER_NOT_FOUND,
        *OBSTACLES.values(),
        ALREADY_REPLAYED,
        role=Role.ADMIN,
    )
    async def post(self, request: web.Request, letter_id: str) -> web.Response:
        """Run the message again where it came from: the letter is `DONE`, or `DEAD` again with the reason."""
        letter = await _letter_of(self, request, letter_id)
        if letter.replayable and (obstacle := await find_obstacle(self.context, letter)) is not None:
            raise OBSTACLES[obstacle]()
        try:
            started = await start_replay(self.context, letter, self.principal(request).name)
        except Exception as error:
            log.warning("dead letter %s not sent: %r", letter_id, error)
            raise DEPENDENCY_AWAY(dependency=Dependency.BROKER) from None
        if not started:
            raise ALREADY_REPLAYED()
        self.context.event_log.note(dead_letter_replayed(letter, self.principal(request).name))
        return json_response({"id": letter_id, "status": "REPLAYED"}, 202)


async def _letter_of(view: ApiView, request: web.Request, letter_id: str) -> Letter:
    """Return a letter that the account sees.

    Raises:
        ApiError: 404, it sees no such letter.
    """
    letter = await view.context.store.dead_letters.get(as_utf8(letter_id))
    if letter is None or letter.account_id not in _visible(view.account(request)):
        raise DEAD_LETTER_NOT_FOUND()
    return letter


def _visible(account_id: str) -> list[str | None]:
    """Return whose letters an account sees: what belongs to nobody is the default account's."""
    return [account_id, None] if account_id == DEFAULT_ACCOUNT else [account_id]
