"""Answers that are sent while they are made: large ones take no more memory than small ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, aclosing

from aiohttp import web

from app.context import AppContext
from web.errors.catalogue import TOO_MANY_DOWNLOADS, TOO_MANY_OPEN_DOWNLOADS
from web.open_requests import counted
from web.request_state import REQUEST_ID

log = logging.getLogger(__name__)

#: What is sent at once, and how long a client may take for it: a kilobyte per second. Bytes, seconds.
_SLICE, _SLOW = 64 * 1024, 60.0


async def send_pieces(
    request: web.Request, pieces: AsyncGenerator[bytes, None], content_type: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer with what comes piece by piece; of a HEAD request, with the headers alone.

    A fault before the first piece has an answer of its own. After that the connection is broken off, so that nobody
    takes a part for the whole.

    Raises:
        Exception: whatever is wrong with the first piece.
    """
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        response = web.StreamResponse(headers=headers)
        response.content_type, response.charset = content_type, "utf-8"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await _send(response, first)
            async for piece in pieces:
                await _send(response, piece)
            await response.write_eof()
        except ConnectionError:
            log.debug("request %s: the client has gone", request[REQUEST_ID])
        except Exception as error:
            why = "the client is too slow" if isinstance(error, TimeoutError) else repr(error)
            log.warning("request %s is broken off: %s", request[REQUEST_ID], why)
            if request.transport is not None:
                request.transport.abort()
    return response


def counted_download(context: AppContext, account_id: str) -> AbstractContextManager[None]:
    """Count an answer for which the rows of an action are read, while it is made.

    Raises:
        ApiError: there are as many already as there may be, of all accounts or of this one.
    """
    return counted(
        context.open_downloads,
        account_id,
        most=context.settings.max_open_downloads,
        most_of_account=context.settings.max_open_downloads_per_account,
        of_worker=TOO_MANY_DOWNLOADS,
        of_account=TOO_MANY_OPEN_DOWNLOADS,
    )


async def _send(response: web.StreamResponse, piece: bytes) -> None:
    for start in range(0, len(piece), _SLICE):
        async with asyncio.timeout(_SLOW):
            await response.write(piece[start : start + _SLICE])
