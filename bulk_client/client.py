"""The client for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from bulk_client.retrying import OnWait, retrying
from bulk_client.settings import Connection
from bulk_client.transport import client_options, error_of, event_options, has_events, network_errors, request_options
from bulk_client.uploads import OnBytes, PackedReader, Upload, is_packed, new_key
from bulk_client.watching import Watching

T = TypeVar("T")


class Client:
    """Calls the API. It is a context manager; ``close`` it when it is not needed any more.

    Every method raises ``ApiError`` when the server refuses, ``NetworkError`` when it cannot be reached, and
    ``UnexpectedAnswer`` when what answers is something else. What fails in passing (429, 503, a connection that broke
    under a request that may be sent twice) is tried again before, as the server asks, for the ``patience`` of the
    connection.
    """

    def __init__(
        self,
        url: str | Connection | None = None,
        *,
        api_key: str | None = None,
        profile: str | None = None,
        on_wait: OnWait | None = None,
        transport: httpx.BaseTransport | None = None,
        **settings: Any,
    ) -> None:
        """Describe the server; nothing is sent yet.

        Args:
            url: Of the server, or the whole connection; None: as the environment or the profile says.
            api_key: The key that is sent.
            profile: The profile that the rest is taken from.
            on_wait: Told before a request is tried again.
            transport: Another way to the server than the network.
            settings: Further fields of ``Connection``.

        Raises:
            BadSettings: something of it cannot be used.
        """
        self.connection = Connection.of(url, profile=profile, api_key=api_key, **settings)
        self._on_wait = on_wait
        self._http = httpx.Client(**client_options(self.connection), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Imports

    def import_file(
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
        """Upload a file; its memory does not depend on the size.

        Args:
            file: Its path, or the open file, which must be able to seek.
            options: What is to be done with it.
            name: What it is called; None: as the path.
            key: The idempotency key; None: one that follows from the bytes of the file, its name and the options, so
                that the same import is done once within 24 hours.
            again: Whether to import it again regardless, by a key that no other upload has.
            gzip: Whether to pack it on the way.
            on_bytes: Told how many bytes of the file have been read; it begins again when the upload does.
        """
        options = options or Upload()
        if isinstance(file, str | Path):
            path = Path(file)
            with path.open("rb") as opened:
                return self.import_file(
                    opened, options, name=name or path.name, key=key, again=again, gzip=gzip, on_bytes=on_bytes
                )
        name = name or "upload.csv"
        key = key or (new_key() if again else options.key_of(file, name))
        packed = gzip and not is_packed(file)
        try:
            return self._send(calls.upload(options, name, PackedReader(file, packed=packed, on_bytes=on_bytes), key))
        except ApiError as error:
            if not (packed and error.code == "GZIP_TOO_DENSE"):
                raise
            plain = PackedReader(file, packed=False, on_bytes=on_bytes)
            return self._send(calls.upload(options, name, plain, key))

    def actions(
        self, *, status: str | None = None, entity_type: str | None = None, limit: int | None = None
    ) -> Iterator[Action]:
        """Yield actions, newest first, page by page as they are asked for; None: all."""
        return self._pages(
            lambda size, cursor: calls.actions(status=status, entity_type=entity_type, limit=size, cursor=cursor), limit
        )

    def action(self, action_id: str) -> Action:
        """Return an action with its history."""
        return self._send(calls.action(action_id))

    def statistics(self, action_id: str) -> Statistics:
        """Return the counters of an action, its speed and the time left."""
        return self._send(calls.statistics(action_id))

    def watch(self, action_id: str) -> Iterator[Statistics]:
        """Yield the counters of an action whenever they change, until it has ended.

        The connection may break and workers may be started again meanwhile: it comes again by itself, as long as the
        server is not away for longer than the connection's ``patience``.
        """
        watching = Watching(action_id, self.connection.patience)
        while not watching.ended:
            try:
                yield from self._stream(watching)
                if watching.ended:
                    return
                # Where there are no streams, or each ends at once, this is what tells of the end.
                yield watching.know(self._once(calls.statistics(action_id)))
                pause = watching.pause
            except BulkError as error:
                pause = watching.fail(error)
            if not watching.ended:
                time.sleep(pause)

    def _stream(self, watching: Watching) -> Iterator[Statistics]:
        options = event_options(watching.path, watching.headers, self.connection.timeout)
        with network_errors(self.connection.url), self._http.stream(**options) as response:
            if response.is_error or response.is_redirect:
                response.read()
                raise error_of(response)
            if not has_events(response):
                return
            for event in EventSource(response).iter_sse():
                told = watching.take(event.event, event.data, event.id, event.retry)
                if told is not None:
                    yield told
                if watching.ended:
                    return

    def wait(self, action_id: str) -> Action:
        """Wait until an action has ended; return it."""
        for _ in self.watch(action_id):
            pass
        return self.action(action_id)

    def rows(self, action_id: str, *, status: str | None = None, limit: int | None = None) -> Iterator[Row]:
        """Yield what became of each row, in the order of the file, page by page; ``status`` such as ``FAILED``."""
        return self._pages(lambda size, cursor: calls.rows(action_id, status=status, limit=size, cursor=cursor), limit)

    def failures(self, action_id: str, *, limit: int | None = None) -> Failures:
        """Return what failed by what is wrong, the largest groups first."""
        return self._send(calls.failures(action_id, limit=limit))

    @contextmanager
    def results(
        self, action_id: str, *, statuses: str | None = None, ndjson: bool = False
    ) -> Iterator[Iterator[bytes]]:
        """Give the rows with what became of each, as pieces of a CSV file or of lines of JSON.

        Args:
            action_id: Whose rows.
            statuses: Only those with one of these, separated by commas; None: all.
            ndjson: Lines of JSON and not CSV.
        """
        call = calls.results(action_id, statuses=statuses, ndjson=ndjson)
        response = self._retrying(call)(self._open, call)
        try:
            with network_errors(self.connection.url):
                yield response.iter_bytes()
        finally:
            response.close()

    # The life of an action

    def cancel(self, action_id: str, reason: str | None = None) -> Action:
        """End an action; what was written stays written."""
        return self._send(calls.steer(action_id, "cancel", reason))

    def pause(self, action_id: str, reason: str | None = None) -> Action:
        """Begin no further rows until it is resumed."""
        return self._send(calls.steer(action_id, "pause", reason))

    def resume(self, action_id: str, reason: str | None = None) -> Action:
        """Go on with a paused action."""
        return self._send(calls.steer(action_id, "resume", reason))

    def retry(self, action_id: str, *, key: str | None = None) -> Accepted:
        """Run exactly the rows again that failed, as an action of their own."""
        return self._send(calls.retry(action_id, key or new_key()))

    def reschedule(self, action_id: str, at: datetime | str | None) -> Action:
        """Move a scheduled action; None: it is done now."""
        return self._send(calls.reschedule(action_id, at))

    def delete(self, action_id: str) -> None:
        """Delete an action that has ended, with its file and outcomes; its records stay."""
        self._send(calls.delete(action_id))

    # What there is

    def entities(self) -> list[Entity]:
        """Return what can be imported."""
        return self._send(calls.entities()).entries

    def schema(self, entity_type: str) -> dict[str, Any]:
        """Return the JSON Schema of a row."""
        return self._send(calls.schema(entity_type))

    def template(self, entity_type: str) -> str:
        """Return an empty file, which has the header only."""
        return self._send(calls.template(entity_type))

    def record(
        self, entity_type: str, record_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Record:
        """Return a record and a page of its history."""
        return self._send(calls.record(entity_type, record_id, limit=limit, cursor=cursor))

    def record_history(self, entity_type: str, record_id: str) -> Iterator[RecordChange]:
        """Yield the whole history of a record, the latest change first."""
        cursor: str | None = None
        while True:
            page = self.record(entity_type, record_id, limit=PAGE, cursor=cursor)
            yield from page.history
            if (cursor := page.following) is None:
                return

    def search(
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
        """Return a page of the events that have all of this (docs/reference/search.md); ``following`` leads on."""
        asked = {name: value for name, value in locals().items() if name not in ("self", "action_id")}
        return self._send(calls.search(action_id, **asked))

    def dead_letters(
        self, *, action_id: str | None = None, status: str | None = None, limit: int | None = None
    ) -> Iterator[DeadLetter]:
        """Yield what could not be done, newest first, page by page; ``status`` such as ``DEAD``."""
        return self._pages(
            lambda size, cursor: calls.dead_letters(action_id=action_id, status=status, limit=size, cursor=cursor),
            limit,
        )

    def replay(self, letter_id: str) -> None:
        """Run a dead letter again."""
        self._send(calls.replay(letter_id))

    # How it is sent

    def _retrying(self, call: Call[Any]) -> Any:
        return retrying(self.connection.patience, repeatable=call.repeatable, on_wait=self._on_wait)

    def _send(self, call: Call[T]) -> T:
        result: T = self._retrying(call)(self._once, call)
        return result

    def _once(self, call: Call[T]) -> T:
        response = self._open(call, whole=True)
        return call.read(response)

    def _open(self, call: Call[Any], *, whole: bool = False) -> httpx.Response:
        """Send a request; return its answer, which has been read if the whole is wanted or it is an error."""
        with network_errors(self.connection.url):
            response = self._http.send(self._http.build_request(**request_options(call)), stream=True)
            try:
                if whole or not response.is_success:
                    response.read()
            except BaseException:
                response.close()
                raise
        if not response.is_success:
            raise error_of(response)
        return response

    def _pages(self, call: Any, limit: int | None) -> Iterator[Any]:
        left, cursor = limit, None
        while left is None or left > 0:
            page = self._send(call(PAGE if left is None else min(PAGE, left), cursor))
            yield from page.entries
            if (cursor := page.following) is None:
                return
            if left is not None:
                left -= len(page.entries)
