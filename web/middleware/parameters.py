"""Query parameters where none are read: most likely a mistake, which would go unnoticed."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from web.inputs import NoParameters
from web.requested import requested_operation


@web.middleware
async def no_parameters(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a query where a method takes none; one that takes some looks at their names itself.

    What is open to everybody takes any: probes and browsers add parameters of their own.
    """
    operation = requested_operation(request)
    if request.query and operation is not None and operation.role is not None and operation.query is None:
        NoParameters.read(request.query)
    return await handler(request)
