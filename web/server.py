"""The web server, with answers of our own where aiohttp gives its own, without any view or middleware.

That is so for a request that cannot be read (aiohttp would show the parser's complaint, with what the client sent) and
for one that asks to be expected in an unknown way. aiohttp and Faust have no setting for it: ``RequestHandler`` and
``Server`` are public, that they are made by ``_make_server`` and ``_new_web`` is not.
``tests/security/test_headers.py`` fails when that changes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler
from faust.web import View
from faust.web.drivers.aiohttp import Web

from app.observability.logs import event
from web.errors.catalogue import INTERNAL, INVALID_HTTP
from web.middleware.errors import error_response, of_http
from web.middleware.request_ids import new_id
from web.middleware.response_headers import on_response_prepare, protect
from web.request_state import REQUEST_ID

log = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    """A connection, which answers what it cannot read in the form of all errors."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that is not HTTP, or that failed before or behind all middlewares; then close."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, and cannot be replaced by an error")
        request[REQUEST_ID] = new_id()
        if status < 500:
            # Whoever connects can cause this, so it is neither an error of ours nor worth a traceback.
            log.info(
                event(
                    "request cannot be read",
                    reason=type(exc).__name__,
                    source=request.remote,
                    request=request[REQUEST_ID],
                )
            )
            error = INVALID_HTTP()
        else:
            log.error(event("request failed", request=request[REQUEST_ID]), exc_info=exc)
            error = INTERNAL()
        response = error_response(request, error)
        protect(response)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes a connection of ours for each client."""

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(_answered(server.request_handler), request_factory=server.request_factory, **options)
        self._options = options

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(self, **self._options)


RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _answered(handle: RequestHandler) -> RequestHandler:
    """Return the handler of requests, with an answer for what is refused before the middlewares (417)."""

    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:
            return error_response(request, of_http(error))

    return answered


class ApiRunner(web.AppRunner):
    """Runs an aiohttp application with connections of ours."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, loop=made._loop, **made._kwargs)


class ApiWeb(Web):  # type: ignore[misc]
    """Faust's web server, with headers and errors of our own on every answer, whose handlers say which view's they are.

    Faust wraps a view into a function that hides it (``_wrap_into_asyncdef`` is not public).
    """

    #: Faust's own page at ``/``, in whose place the dashboard stands.
    production_blueprints: ClassVar[list[Any]] = []

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.web_app.on_response_prepare.append(on_response_prepare)
        self._runner = ApiRunner(self.web_app, access_log=None)

    def _wrap_into_asyncdef(self, handler: View) -> Handler:
        # Bound to its view, which the middlewares ask for the operation.
        bound: Handler = handler.__call__
        return bound


class ServesApi:
    """Makes a Faust app serve through :class:`ApiWeb`."""

    def _new_web(self) -> ApiWeb:
        return ApiWeb(self)
