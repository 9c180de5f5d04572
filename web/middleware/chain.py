"""The middlewares in their order."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp.typedefs import Middleware

from app.context import AppContext
from web.middleware.access import access_control
from web.middleware.errors import errors_to_json
from web.middleware.limit_metrics import limit_metrics
from web.middleware.origins import origin_control
from web.middleware.parameters import no_parameters
from web.middleware.rate_limits import rate_limits
from web.middleware.request_ids import request_ids
from web.middleware.request_log import request_log
from web.middleware.request_metrics import request_metrics
from web.middleware.request_traces import request_traces


def middlewares(context: Callable[[], AppContext]) -> list[Middleware]:
    """Return the middlewares, outermost first; ``context`` is called when there is a request."""
    return [
        # The first four see every answer, so they stand outside of what makes an answer of an error.
        request_ids,
        request_traces,
        request_log(context),
        request_metrics,
        errors_to_json,
        # It sees each refusal while it is an exception, with its code.
        limit_metrics(context),
        # What costs nothing to decide comes first; nothing is counted for an account that is not proved.
        origin_control(context),
        access_control(context),
        rate_limits(context),
        # Its answer shows which parameters an operation has, so it stands behind access control.
        no_parameters,
    ]
