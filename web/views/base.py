"""What all views share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import faust.web
import orjson
from aiohttp import web

from app.context import AppContext
from app.domain.access import Role
from app.domain.actions import Action, is_action_id
from app.settings import Settings
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


def is_served(request: web.Request) -> bool:
    """Tell whether there is such a route; else the path is unknown, or does not have this method."""
    return request.match_info.http_exception is None and request.match_info.route.resource is not None


def requested_operation(request: web.Request) -> Operation | None:
    """Return the operation that a request asks for; None for what is not a view of ours. HEAD is answered as GET."""
    view = getattr(request.match_info.handler, "__self__", None)
    if not isinstance(view, ApiView):
        return None
    return view.operations.get("GET" if request.method == "HEAD" else request.method)


def declared_role(request: web.Request) -> Role | None:
    """Return the role that an operation declares; None when it is open to everybody.

    What is served without a declaration, as a page of Faust's own, is for admins.
    """
    operation = requested_operation(request)
    return Role.ADMIN if operation is None else operation.role


def needed_role(request: web.Request, settings: Settings) -> Role | None:
    """Return the role that a request needs with these settings; None when it needs none."""
    operation = requested_operation(request)
    if operation is not None and operation.open_if is not None and operation.open_if(settings):
        return None
    return declared_role(request)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``value`` as JSON."""
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json", headers=headers)
