"""The client for programs with an event loop: the methods of ``Client``, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

import httpx
from httpx_sse import EventSource

from bulk_client import calls
from bulk_client.calls import PAGE, Call
from bulk_client.errors import ApiError, BulkError
from bulk_client.models import (
    Accepted,
    Action,
    DeadLetter,
    Entity,
    Failures,
    Found,
    Record,
    RecordChange,
    Row,
    Statistics,
)
from bulk_client.retrying import OnWait, async_retrying
from bulk_client.settings import Connection
from bulk_client.transport import client_options, error_of, event_options, has_events, network_errors, request_options
from bulk_client.uploads import OnBytes, PackedReader, Upload, is_packed, new_key
from bulk_client.watching import Watching

T = TypeVar("T")


class _InThread(httpx.AsyncByteStream):
    """A body whose pieces are read and packed in a thread, so that the event loop does not wait for a disk."""

    def __init__(self, body: httpx.SyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self._body)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece


class AsyncClient:
    """Calls the API; each method does what that of ``Client`` does, and raises the same."""

    def __init__(
        self,
        url: str | Connection | None = None,
        *,
        api_key: str | None = None,
        profile: str | None = None,
        on_wait: OnWait | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        **settings: Any,
    ) -> None:
        """Describe the server, as ``Client`` does; nothing is sent yet."""
        self.connection = Connection.of(url, profile=profile, api_key=api_key, **settings)
        self._on_wait = on_wait
        self._http = httpx.AsyncClient(**client_options(self.connection), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # Imports

    async def import_file(
        self,
        file: str | Path | BinaryIO,
        options: Upload | None = None,
        *,
        name: str | None = None,
        key: str | None = None,
        again: bool = False,
        gzip: bool = True,
        on_bytes: OnBytes | None = None,
    ) -> Accepted:
        """Upload a file, which is read in a thread."""
        options = options or Upload()
        if isinstance(file, str | Path):
            path = Path(file)
            with await asyncio.to_thread(path.open, "rb") as opened:
                return await self.import_file(
                    opened, options, name=name or path.name, key=key, again=again, gzip=gzip, on_bytes=on_bytes
                )
        name = name or "upload.csv"
        key = key or (new_key() if again else await asyncio.to_thread(options.key_of, file, name))
        packed = gzip and not is_packed(file)
        try:
            reader = PackedReader(file, packed=packed, on_bytes=on_bytes)
            return await self._send(calls.upload(options, name, reader, key))
        except ApiError as error:
            if not (packed and error.code == "GZIP_TOO_DENSE"):
                raise
            plain = PackedReader(file, packed=False, on_bytes=on_bytes)
            return await self._send(calls.upload(options, name, plain, key))

    def actions(
        self, *, status: str | None = None, entity_type: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Action]:
        """Yield actions, newest first, page by page as they are asked for; None: all."""
        return self._pages(
            lambda size, cursor: calls.actions(status=status, entity_type=entity_type, limit=size, cursor=cursor), limit
        )

    async def action(self, action_id: str) -> Action:
        """Return an action with its history."""
        return await self._send(calls.action(action_id))

    async def statistics(self, action_id: str) -> Statistics:
        """Return the counters of an action, its speed and the time left."""
        return await self._send(calls.statistics(action_id))

    async def watch(self, action_id: str) -> AsyncIterator[Statistics]:
        """Yield the counters of an action whenever they change, until it has ended."""
        watching = Watching(action_id, self.connection.patience)
        while not watching.ended:
            try:
                async for told in self._stream(watching):
                    yield told
                if watching.ended:
                    return
                yield watching.know(await self._once(calls.statistics(action_id)))
                pause = watching.pause
            except BulkError as error:
                pause = watching.fail(error)
            if not watching.ended:
                await asyncio.sleep(pause)

    async def _stream(self, watching: Watching) -> AsyncIterator[Statistics]:
        options = event_options(watching.path, watching.headers, self.connection.timeout)
        with network_errors(self.connection.url):
            async with self._http.stream(**options) as response:
                if response.is_error or response.is_redirect:
                    await response.aread()
                    raise error_of(response)
                if not has_events(response):
                    return
                async for event in EventSource(response).aiter_sse():
                    told = watching.take(event.event, event.data, event.id, event.retry)
                    if told is not None:
                        yield told
                    if watching.ended:
                        return

    async def wait(self, action_id: str) -> Action:
        """Wait until an action has ended; return it."""
        async for _ in self.watch(action_id):
            pass
        return await self.action(action_id)

    def rows(self, action_id: str, *, status: str | None = None, limit: int | None = None) -> AsyncIterator[Row]:
        """Yield what became of each row, in the order of the file, page by page."""
        return self._pages(lambda size, cursor: calls.rows(action_id, status=status, limit=size, cursor=cursor), limit)

    async def failures(self, action_id: str, *, limit: int | None = None) -> Failures:
        """Return what failed by what is wrong, the largest groups first."""
        return await self._send(calls.failures(action_id, limit=limit))

    @asynccontextmanager
    async def results(
        self, action_id: str, *, statuses: str | None = None, ndjson: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the rows with what became of each, as pieces of a CSV file or of lines of JSON."""
        call = calls.results(action_id, statuses=statuses, ndjson=ndjson)
        response = await self._retrying(call)(self._open, call)
        try:
            with network_errors(self.connection.url):
                yield response.aiter_bytes()
        finally:
            await response.aclose()

    # The life of an action

    async def cancel(self, action_id: str, reason: str | None = None) -> Action:
        """End an action; what was written stays written."""
        return await self._send(calls.steer(action_id, "cancel", reason))

    async def pause(self, action_id: str, reason: str | None = None) -> Action:
        """Begin no further rows until it is resumed."""
        return await self._send(calls.steer(action_id, "pause", reason))

    async def resume(self, action_id: str, reason: str | None = None) -> Action:
        """Go on with a paused action."""
        return await self._send(calls.steer(action_id, "resume", reason))

    async def retry(self, action_id: str, *, key: str | None = None) -> Accepted:
        """Run exactly the rows again that failed, as an action of their own."""
        return await self._send(calls.retry(action_id, key or new_key()))

    async def reschedule(self, action_id: str, at: datetime | str | None) -> Action:
        """Move a scheduled action; None: it is done now."""
        return await self._send(calls.reschedule(action_id, at))

    async def delete(self, action_id: str) -> None:
        """Delete an action that has ended, with its file and outcomes; its records stay."""
        await self._send(calls.delete(action_id))

    # What there is

    async def entities(self) -> list[Entity]:
        """Return what can be imported."""
        return (await self._send(calls.entities())).entries

    async def schema(self, entity_type: str) -> dict[str, Any]:
        """Return the JSON Schema of a row."""
        return await self._send(calls.schema(entity_type))

    async def template(self, entity_type: str) -> str:
        """Return an empty file, which has the header only."""
        return await self._send(calls.template(entity_type))

    async def record(
        self, entity_type: str, record_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Record:
        """Return a record and a page of its history."""
        return await self._send(calls.record(entity_type, record_id, limit=limit, cursor=cursor))

    async def record_history(self, entity_type: str, record_id: str) -> AsyncIterator[RecordChange]:
        """Yield the whole history of a record, the latest change first."""
        cursor: str | None = None
        while True:
            page = await self.record(entity_type, record_id, limit=PAGE, cursor=cursor)
            for change in page.history:
                yield change
            if (cursor := page.following) is None:
                return

    async def search(
        self,
        text: str | None = None,
        *,
        action_id: str | None = None,
        level: str | None = None,
        type: str | None = None,
        code: str | None = None,
        status: str | None = None,
        row: int | None = None,
        record_id: str | None = None,
        email: str | None = None,
        entity_type: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Found:
        """Return a page of the events that have all of this; ``following`` leads on."""
        asked = {name: value for name, value in locals().items() if name not in ("self", "action_id")}
        return await self._send(calls.search(action_id, **asked))

    def dead_letters(
        self, *, action_id: str | None = None, status: str | None = None, limit: int | None = None
    ) -> AsyncIterator[DeadLetter]:
        """Yield what could not be done, newest first, page by page."""
        return self._pages(
            lambda size, cursor: calls.dead_letters(action_id=action_id, status=status, limit=size, cursor=cursor),
            limit,
        )

    async def replay(self, letter_id: str) -> None:
        """Run a dead letter again."""
        await self._send(calls.replay(letter_id))

    # How it is sent

    def _retrying(self, call: Call[Any]) -> Any:
        return async_retrying(self.connection.patience, repeatable=call.repeatable, on_wait=self._on_wait)

    async def _send(self, call: Call[T]) -> T:
        result: T = await self._retrying(call)(self._once, call)
        return result

    async def _once(self, call: Call[T]) -> T:
        return call.read(await self._open(call, whole=True))

    async def _open(self, call: Call[Any], *, whole: bool = False) -> httpx.Response:
        """Send a request; return its answer, which has been read if the whole is wanted or it is an error."""
        with network_errors(self.connection.url):
            request = self._http.build_request(**request_options(call))
            if call.file is not None and isinstance(request.stream, httpx.SyncByteStream):
                body = _InThread(request.stream)
                request = httpx.Request(
                    request.method, request.url, headers=request.headers, stream=body, extensions=request.extensions
                )
            response = await self._http.send(request, stream=True)
            try:
                if whole or not response.is_success:
                    await response.aread()
            except BaseException:
                await response.aclose()
                raise
        if not response.is_success:
            raise error_of(response)
        return response

    async def _pages(self, call: Any, limit: int | None) -> AsyncIterator[Any]:
        left, cursor = limit, None
        while left is None or left > 0:
            page = await self._send(call(PAGE if left is None else min(PAGE, left), cursor))
            for entry in page.entries:
                yield entry
            if (cursor := page.following) is None:
                return
            if left is not None:
                left -= len(page.entries)
