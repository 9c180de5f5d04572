"""JSON bodies of requests: small objects, read as models, like queries and forms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Self

import orjson
from aiohttp import web

from web.errors.catalogue import BODY_TOO_LARGE, BODY_TOO_SLOW, INVALID_BODY, UNKNOWN_FIELD
from web.inputs import Input

#: What may be wrong with such a body.
BODY_PROBLEMS = (INVALID_BODY, UNKNOWN_FIELD, BODY_TOO_LARGE, BODY_TOO_SLOW)

#: Largest body, bytes, and longest time that it may take to arrive, seconds.
_MAX_BODY, _TIMEOUT = 64 * 1024, 30
#: Most levels of a body: no field has any, and what has a thousand cannot even be shown.
_MAX_DEPTH = 16


class JsonBody(Input):
    """The fields of a JSON object, which is the body of a request. No body at all is an object without fields."""

    unknown = UNKNOWN_FIELD

    @classmethod
    async def receive(cls, request: web.Request) -> Self:
        """Read the body of a request.

        Raises:
            ApiError: 400, it is no JSON object, or its fields are wrong; 408 and 413, it is too slow or too large.
        """
        return cls.read(await _read_object(request))


async def _read_object(request: web.Request) -> dict[str, Any]:
    body = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT):
            async for block in request.content.iter_any():
                body += block
                if len(body) > _MAX_BODY:
                    raise BODY_TOO_LARGE(limit=_MAX_BODY)
    except TimeoutError:
        raise BODY_TOO_SLOW(seconds=_TIMEOUT) from None
    except web.RequestPayloadError:
        raise INVALID_BODY() from None
    try:
        value = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError:
        raise INVALID_BODY() from None
    if not isinstance(value, dict) or _is_deep(value):
        raise INVALID_BODY()
    return value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
