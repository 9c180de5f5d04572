"""What all views share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faust.web
import orjson
from aiohttp import web

from app.context import AppContext
from app.domain.access import Principal
from app.domain.actions import is_action_id
from web.errors import action_not_found


class ApiView(faust.web.View):  # type: ignore[misc]
    """A resource of the API."""

    @property
    def context(self) -> AppContext:
        """The stores and topics of this worker."""
        context: AppContext = self.app.context
        return context

    def account(self, request: web.Request) -> str:
        """Return the account on whose behalf the request is made: the only one whose things it sees and changes."""
        principal: Principal = request["principal"]
        return principal.account_id

    async def action(self, request: web.Request, action_id: str) -> dict[str, Any]:
        """Return the action that the path names.

        Raises:
            ApiError: 404 when the id is malformed, unknown, or another account's.
        """
        if not is_action_id(action_id):
            raise action_not_found()
        action = await self.context.store.actions.get(action_id, self.account(request))
        if action is None:
            raise action_not_found()
        return action


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``value`` as JSON."""
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json", headers=headers)
