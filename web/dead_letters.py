"""Dead letters: list them, and replay one."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from app.domain.access import DEFAULT_ACCOUNT
from app.domain.dead_letters import presented
from app.messages import Chunk
from web.errors import ApiError, as_utf8
from web.paging import next_link, read_cursor, read_limit
from web.views import ApiView, json_response

log = logging.getLogger(__name__)


class DeadLettersView(ApiView):
    """What could not be done, or not be read."""

    async def get(self, request: web.Request) -> web.Response:
        """List dead letters, newest first; ``?actionId=`` for one action, ``?status=DEAD`` for open ones."""
        limit = read_limit(request)
        query: dict[str, Any] = {"accountId": {"$in": _visible(self.account(request))}}
        for name in ("actionId", "status"):
            if name in request.query:
                query[name] = as_utf8(request.query[name])
        letters = await self.platform.store.dead_letters.page(query, limit + 1, read_cursor(request))
        headers = {}
        if len(letters) > limit:
            letters = letters[:limit]
            headers["Link"] = next_link(request, letters[-1]["at"], letters[-1]["_id"])
        return json_response([presented(letter) for letter in letters], headers=headers)


class DeadLetterReplayView(ApiView):
    """Running a dead letter again."""

    async def post(self, request: web.Request, letter_id: str) -> web.Response:
        """Send the message to where it came from; the counters follow when it succeeds."""
        letters = self.platform.store.dead_letters
        letter = await letters.get(as_utf8(letter_id))
        if letter is None or letter.get("accountId") not in _visible(self.account(request)):
            raise ApiError(404, "Dead letter not found", "DEAD_LETTER_NOT_FOUND")
        channel = self.platform.topics.named(letter["origin"]["topic"])
        if channel is None or not letter["complete"]:
            raise ApiError(409, "This message cannot be sent again: it is no longer whole.", "NOT_REPLAYABLE")
        if not await letters.claim_replay(letter_id):
            raise ApiError(409, "This dead letter has been replayed already.", "ALREADY_REPLAYED")
        payload = letter["payload"]
        if letter["kind"] == "CHUNK":
            payload = Chunk.decode(payload).model_copy(update={"replay": True}).encode()
        try:
            await channel.send_raw(letter["key"], payload)
        except Exception as error:
            log.warning("dead letter %s not sent: %r", letter_id, error)
            await letters.return_replay(letter_id)
            raise ApiError(503, "The broker is away, please try again later.", "SERVICE_UNAVAILABLE") from None
        return json_response({"id": letter_id, "status": "REPLAYED"}, 202)


def _visible(account_id: str) -> list[str | None]:
    """Return whose letters an account sees: what belongs to nobody is the default account's."""
    return [account_id, None] if account_id == DEFAULT_ACCOUNT else [account_id]
