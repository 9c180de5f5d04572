"""The body of an upload as a stream with limits: on time, and on the size of what is not the file.

A client that sends nothing, or a byte now and then, gets an error, so that it does not hold the connection for ever.
Only the time for which the worker waits for the client counts as the client's, not that of a slow storage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import cast

from aiohttp import MultipartReader, StreamReader

from app.observability.metrics import UPLOAD_BYTES
from app.settings import Settings
from web.errors.catalogue import FORM_TOO_LARGE, UPLOAD_IDLE, UPLOAD_OVERDUE, UPLOAD_TOO_SLOW

#: Largest form without its file, bytes: the fields, the heads of the parts, what stands before the first of them. It
#: includes what is read ahead of the file.
_MAX_ENVELOPE = 2 * 1024**2
#: Most headers of a part, and the longest of them, bytes.
_MAX_HEADERS, _MAX_HEADER = 32, 8190


class UploadStream:
    """Stands between the connection and aiohttp's reader of forms, which asks for no more than these methods."""

    def __init__(self, content: StreamReader, settings: Settings) -> None:
        self._content = content
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + settings.upload_timeout
        self._waited = 0.0
        self._envelope = 0

    def parts(self, headers: Mapping[str, str]) -> MultipartReader:
        """Return the reader of the form that the body is. Raises what ``aiohttp.MultipartReader`` raises."""
        content = cast(StreamReader, self)
        return MultipartReader(headers, content, max_field_size=_MAX_HEADER, max_headers=_MAX_HEADERS)

    def count_as_file(self, size: int) -> None:
        """Count so many bytes of what was read as the file's, which has a limit of its own."""
        self._envelope -= size

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes, as soon as there are some.

        Raises:
            ApiError: 408, it takes too long; 413, the form is too large.
        """
        # What is there already needs no timer, so that a fast upload costs nothing more.
        if data := self._content.read_nowait(n):
            self._check_deadline()
            return self._counted(data)
        return self._counted(await self._with_timeout(self._content.read(n)))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Return a line, with its end. Raises as :meth:`read`."""
        return self._counted(await self._with_timeout(self._content.readline(max_line_length=max_line_length)))

    def unread_data(self, data: bytes) -> None:
        """Give back what was read too much."""
        self._envelope -= len(data)
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        """Return whether all was read."""
        return self._content.at_eof()

    def _counted(self, data: bytes) -> bytes:
        UPLOAD_BYTES.inc(len(data))
        self._envelope += len(data)
        if self._envelope > _MAX_ENVELOPE:
            raise FORM_TOO_LARGE(limit=_MAX_ENVELOPE)
        return data

    async def _with_timeout(self, step: Awaitable[bytes]) -> bytes:
        settings, begun = self._settings, self._clock()
        try:
            async with asyncio.timeout_at(min(begun + settings.upload_idle_timeout, self._deadline)):
                data = await step
        except TimeoutError:
            self._check_deadline()
            raise UPLOAD_IDLE(seconds=settings.upload_idle_timeout) from None
        self._check_deadline()
        self._waited += self._clock() - begun
        if (
            self._waited > settings.upload_idle_timeout
            and self._content.total_bytes < settings.upload_min_rate * self._waited
        ):
            raise UPLOAD_TOO_SLOW(rate=settings.upload_min_rate)
        return data

    def _check_deadline(self) -> None:
        if self._clock() >= self._deadline:
            raise UPLOAD_OVERDUE(seconds=self._settings.upload_timeout)
