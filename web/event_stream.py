"""Server-sent events: a response that lasts, to which something is written when there is something to say.

Source: the section "Server-sent events" of the HTML standard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import orjson
from aiohttp import web

log = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"

#: Seconds of silence after which a comment is sent, so that nobody on the way takes the connection for dead.
HEARTBEAT = 15.0
#: Seconds that a client has to take what is sent; one that needs longer is dropped, and may come again.
_SLOW = 10.0
#: Bytes that may be waiting for a client.
_BUFFER = 16 * 1024
#: Milliseconds after which a client comes again.
_RETRY = b"retry: 2000\n\n"
_COMMENT = b": nothing new\n\n"


class ServerEvent(NamedTuple):
    """An event: its name, where to go on after it (``Last-Event-ID``), and its data."""

    name: str
    id: str
    data: Any

    def encode(self) -> bytes:
        """Return the event as it is sent: JSON has no line ends."""
        return b"event: %s\nid: %s\ndata: %s\n\n" % (self.name.encode(), self.id.encode(), orjson.dumps(self.data))


async def send_events(request: web.Request, events: AsyncIterator[list[ServerEvent]]) -> web.StreamResponse:
    """Answer with events until there will be no more, or the client has gone.

    Args:
        request: What is answered; of a HEAD, the headers alone.
        events: Lists of events; an empty one where there was nothing new for so long that a sign of life is due.
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = EVENT_STREAM
    response.charset = "utf-8"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    if request.transport is not None:
        request.transport.set_write_buffer_limits(_BUFFER)
    try:
        await _write(response, _RETRY)
        async for found in events:
            await _write(response, b"".join(event.encode() for event in found) or _COMMENT)
    except TimeoutError:
        log.info("a client of %s takes its events too slowly, and is dropped", request.path)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # it has gone
    except Exception:
        # The answer has begun, so nothing can be said of it any more; the client comes again.
        log.exception("a stream of %s has failed", request.path)
    return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_SLOW):
        await response.write(data)
