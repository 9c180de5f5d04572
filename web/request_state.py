"""What the middlewares find out about a request and those behind them read, by typed keys."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from app.domain.access import Principal

#: The id of the request: the client's own, if it sent a usable one.
REQUEST_ID = web.RequestKey("request_id", str)

#: On whose behalf it is made; absent where no credential is looked at.
PRINCIPAL = web.RequestKey("principal", Principal)

#: The code of the error that it is answered with; absent where there is none.
ERROR_CODE = web.RequestKey("error_code", str)

#: Why its credential is refused, for the log.
REFUSAL = web.RequestKey("refusal", str)

#: The id of the action that it has made, or that the same request had made before.
MADE = web.RequestKey("made", str)

#: What else the audit log says of it, by names of its own.
AUDITED = web.RequestKey("audited", Mapping[str, object])

#: What is left of the account's rate limit, as headers; absent where the request is not counted.
RATE_LIMIT_HEADERS = web.RequestKey("rate_limit_headers", dict[str, str])
