"""What all views share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import faust.web
import orjson
from aiohttp import web

from app.context import AppContext
from app.domain.access import Principal
from app.domain.actions import Action, is_action_id
from web.errors.catalogue import ACTION_NOT_FOUND
from web.openapi.operations import Operation, operations_of
from web.request_state import PRINCIPAL


class ApiView(faust.web.View):  # type: ignore[misc]
    """A resource of the API: every method of it is declared by ``@operation``."""

    #: The declarations, by the name of the method (``GET``).
    operations: ClassVar[Mapping[str, Operation]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.operations = operations_of(cls)

    @property
    def context(self) -> AppContext:
        """The stores and topics of this worker."""
        context: AppContext = self.app.context
        return context

    def account(self, request: web.Request) -> str:
        """Return the account on whose behalf the request is made: the only one whose things it sees and changes."""
        return request[PRINCIPAL].account_id

    def principal(self, request: web.Request) -> Principal:
        """Return on whose behalf the request is made."""
        return request[PRINCIPAL]

    async def action(self, request: web.Request, action_id: str) -> Action:
        """Return the action that the path names.

        Raises:
            ApiError: 404 when the id is malformed, unknown, or another account's.
        """
        if not is_action_id(action_id):
            raise ACTION_NOT_FOUND()
        action = await self.context.store.actions.get(action_id, self.account(request))
        if action is None:
            raise ACTION_NOT_FOUND()
        return action


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``value`` as JSON."""
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json", headers=headers)
