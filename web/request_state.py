"""What the middlewares find out about a request and those behind them read, by typed keys."""

from __future__ import annotations

from aiohttp import web

from app.domain.access import Principal

#: The id of the request: the client's own, if it sent a usable one.
REQUEST_ID = web.RequestKey("request_id", str)

#: On whose behalf it is made; absent where no credential is looked at.
PRINCIPAL = web.RequestKey("principal", Principal)

#: What is left of the account's rate limit, as headers; absent where the request is not counted.
RATE_LIMIT_HEADERS = web.RequestKey("rate_limit_headers", dict[str, str])
