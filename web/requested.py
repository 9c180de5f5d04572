"""What a request asks for: the operation of the view that it was routed to, and the role that this needs."""

from __future__ import annotations

from aiohttp import web

from app.domain.access import Role
from app.settings import Settings
from web import headers
from web.openapi.operations import Operation
from web.views.base import ApiView


def is_served(request: web.Request) -> bool:
    """Return whether there is such a route; else the path is unknown, or does not have this method."""
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


def names_nobody(request: web.Request, settings: Settings) -> bool:
    """Return whether the API is open, and the request names no account: nobody in particular asks it."""
    return settings.auth_mode == "none" and headers.ACCOUNT not in request.headers


def needed_role(request: web.Request, settings: Settings) -> Role | None:
    """Return the role that a request needs with these settings; None when it needs none."""
    operation = requested_operation(request)
    if operation is not None and operation.open_if is not None and operation.open_if(settings):
        return None
    return declared_role(request)
