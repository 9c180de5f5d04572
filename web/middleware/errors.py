"""Errors to JSON: whatever goes wrong behind this middleware is answered in the one form of errors."""

from __future__ import annotations

import logging

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from app.domain.public_faults import dependency_of
from app.observability.logs import event
from web import headers
from web.errors.catalogue import DEPENDENCY_AWAY, INTERNAL, TIMED_OUT
from web.errors.problem import ApiError, Problem
from web.middleware.request_ids import new_id
from web.request_state import ERROR_CODE, REQUEST_ID

log = logging.getLogger(__name__)


@web.middleware
async def errors_to_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into the documented error body."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(request, of_http(error))
    except Exception as error:
        return error_response(request, _of_fault(request, error))


def _of_fault(request: web.Request, error: Exception) -> ApiError:
    """Return the error for a fault that is not the request's; the log has the details."""
    if (dependency := dependency_of(error)) is not None:
        log.warning(event(f"the {dependency} is away", request=request[REQUEST_ID], error=repr(error)))
        return DEPENDENCY_AWAY(dependency=dependency)
    if isinstance(error, TimeoutError):
        log.warning(event("something is away", request=request[REQUEST_ID], error=repr(error)))
        return TIMED_OUT()
    log.exception(event("request failed", request=request[REQUEST_ID], method=request.method))
    return INTERNAL()


def of_http(error: web.HTTPException) -> ApiError:
    """Return an error of aiohttp (no such path, no such method, ...) in the form of all errors."""
    code = error.reason.upper().replace(" ", "_")
    made = Problem(error.status, code, "{reason}")(reason=error.reason)
    if "Allow" in error.headers:
        made.headers["Allow"] = error.headers["Allow"]
    return made


def error_response(request: web.BaseRequest, error: ApiError) -> web.Response:
    """Return an error in the documented form; a request that no middleware has seen gets its id here."""
    request_id = request.get(REQUEST_ID) or new_id()
    request[ERROR_CODE] = error.code
    return web.Response(
        status=error.status,
        body=orjson.dumps(error.to_body(request_id)),
        content_type="application/json",
        headers={**error.headers, headers.REQUEST_ID: request_id},
    )
