"""What every request passes through: a request id, a count, and JSON for whatever goes wrong."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from app.context import AppContext
from app.domain.public_faults import dependency_of
from app.observability.logs import event
from app.observability.metrics import REQUEST_SECONDS, REQUESTS
from web.errors import ApiError, as_utf8, away, internal, unavailable
from web.inputs import NoParameters
from web.middleware.access import Handler, access_control
from web.middleware.origins import origin_control
from web.middleware.rate_limits import rate_limit_headers, rate_limits
from web.routes import operation_at

log = logging.getLogger(__name__)

#: A client may name its request; anything else than these characters is replaced by a name of ours.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Methods that are counted under their own name: a client may make up others.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_ID_HEADER = "X-Request-ID"


def middlewares(context: Callable[[], AppContext]) -> list[Any]:
    """Return the middlewares, outermost first; ``platform`` is asked for when there is a request."""
    return [
        request_id,
        measured,
        rate_limit_headers,
        json_errors,
        origin_control(context),
        access_control(context),
        rate_limits(context),
        known_parameters,
    ]


@web.middleware
async def request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, the client's own if it sent a usable one, and say it in the answer."""
    sent = request.headers.get(REQUEST_ID_HEADER, "")
    request["id"] = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    response = await handler(request)
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request["id"]
    return response


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request and its time, under the route that was found; a client cannot make up a label."""
    began = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(route, method, str(response.status)).inc()
    REQUEST_SECONDS.labels(route, method).observe(time.perf_counter() - began)
    return response


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a view raises into the documented error body."""
    try:
        return await handler(request)
    except ApiError as error:
        _note_refusal(request, error)
        return error_response(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(request, of_http(error))
    except Exception as error:
        if (dependency := dependency_of(error)) is not None:
            log.warning("request %s: the %s is away: %r", request["id"], dependency, error)
            return error_response(request, away(dependency))
        if isinstance(error, TimeoutError):
            log.warning("request %s: something is away: %r", request["id"], error)
            return error_response(request, unavailable())
        log.exception("request %s: %s %s failed", request["id"], request.method, request.path)
        return error_response(request, internal())


@web.middleware
async def known_parameters(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a query where a route takes none; a route that takes one looks at its names itself."""
    route = request.match_info.route
    if request.query and request.match_info.http_exception is None and route.resource is not None:
        operation = operation_at(request.method, route.resource.canonical)
        if operation is not None and operation.query is None:
            NoParameters.read(request.query)
    return await handler(request)


def _note_refusal(request: web.Request, error: ApiError) -> None:
    """Log what was refused; not what only looks, of which anybody may send any number."""
    if request.method not in {"GET", "HEAD"}:
        log.info(
            event(
                "refused",
                method=request.method,
                path=request.path,
                status=error.status,
                code=error.code,
                account=request.get("principal") and request["principal"].account_id,
                request=request["id"],
            )
        )


def of_http(error: web.HTTPException) -> ApiError:
    """Return what aiohttp says about a request (no such path, no such method, ...) in the form of all errors."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return ApiError(error.status, error.reason, error.reason.upper().replace(" ", "_"), headers)


def error_response(request: web.BaseRequest, error: ApiError) -> web.Response:
    """Return an error in the documented form; a request that no middleware has seen gets its id here."""
    request_id = request.get("id") or uuid.uuid4().hex
    body = {"error": as_utf8(error.message), **error.details, "code": error.code, "requestId": request_id}
    if error.faults:
        body["errors"] = [
            {"field": fault.field, "code": fault.code, "message": as_utf8(fault.message)} for fault in error.faults
        ]
    return web.Response(
        status=error.status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={**(error.headers or {}), REQUEST_ID_HEADER: request_id},
    )
