"""Retrying an action: another one over exactly the rows of it that failed.

Its file has the header as it was uploaded and the bytes of these rows, in their order, and is stored as an upload would
be; beside it lies which row of the original each of its rows is. An action has one retry. It is made by one insert
under a key that only one action can have (``Idempotency-Key`` works the same way), and then the original says which it
is: whatever dies between, and however many ask at once, there is one.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.adapters.storage import ObjectMissing, StorageWriter
from app.context import AppContext
from app.domain import row_map, upload_keys
from app.domain.access import Principal
from app.domain.actions import Action, Status, Transition, TransitionRefused, new_chunk_key
from app.domain.csv.spans import Scan, SpanScanner
from app.domain.dead_letters import State
from app.domain.idempotency import KeyReused, retry_digest, retry_key
from app.domain.rows import RowsUnreadable
from app.observability.tracing import current_traceparent, link_to
from app.services.ahead import ahead
from app.services.results import ReadChunk, read_chunks, records_of
from app.services.scheduling import first_pause
from app.services.stored_rows import StoredRows
from app.services.upload import Submitted, Upload

#: Blocks are gathered to this size before they are written, bytes.
_BLOCK = 256 * 1024


class NothingToRetry(Exception):
    """No row of the action has failed, or none that a retry of it has not done since."""


class AlreadyRetried(Exception):
    """There is a retry of the action, which has not ended."""

    def __init__(self, action_id: str) -> None:
        super().__init__(action_id)
        self.action_id = action_id


class NotSettled(Exception):
    """What of the action's rows has failed is not certain yet."""


async def retry(context: AppContext, action: Action, principal: Principal, key: str | None) -> Submitted:
    """Make an action over the rows that failed in an action, or in the last of its retries; or return it.

    Args:
        context: The platform.
        action: What is retried.
        principal: Who has asked for it.
        key: The client's name for the request; the same name for the same action is the same retry.

    Raises:
        TransitionRefused: it has not ended.
        NotSettled: chunks of it are being finished, or replayed.
        NothingToRetry, AlreadyRetried: as they say.
        RowsUnreadable: its rows cannot be read any more.
        TooManyActive, TooManyActiveRows, FileAboveRowLimit, StorageFull: the account has reached a limit.
        OSError, app.domain.faults.DependencyFault: something is away; asking again is safe.
    """
    digest = retry_digest(action.id, key) if key is not None else None
    original = action
    while (made := await _retry_of(context, original)) is not None:
        if digest is not None and made.request_digest == digest:
            return Submitted(made, replayed=True)
        original = made
    await _check(context, original, is_retry=original.id != action.id)
    upload = Upload(context, principal)
    async with upload.removed_unless_needed():
        try:
            built = await _build(context, upload, original)
        except ObjectMissing:
            raise RowsUnreadable("its file is not stored any more") from None
        if not built.scan.row_count:
            raise NothingToRetry
        try:
            submitted = await upload.store(_action(context, upload, original, built, principal, digest), built.scan)
        except KeyReused:
            # Somebody else was first by a moment, with another key of theirs.
            made = await _retry_of(context, original)
            raise AlreadyRetried(original.id if made is None else made.id) from None
    link_to(original.traceparent, "retry of")
    await context.store.actions.link_retry(original.id, submitted.action.id)
    if submitted.replayed and digest is None:
        raise AlreadyRetried(submitted.action.id)
    return submitted


async def original_rows(context: AppContext, action: Action, rows: Iterable[int]) -> dict[int, int]:
    """Return for rows of a retry (ascending) their numbers in the file of the action that it retries."""
    found: dict[int, int] = {}
    if action.retry_of is None:
        return found
    for first, last in row_map.runs(rows):
        try:
            data = await context.storage.read(upload_keys.rows_key(action.id), *row_map.byte_range(first, last))
        except ObjectMissing:
            return {}
        found.update(zip(range(first, last + 1), row_map.unpack(data), strict=False))
    return found


async def _retry_of(context: AppContext, action: Action) -> Action | None:
    """Return the retry of an action, also one that the action does not name yet; None: there is none (any more)."""
    actions = context.store.actions
    if action.retried_by is not None and (made := await actions.get(action.retried_by)) is not None:
        return made
    made = await actions.find_by_idempotency_key(retry_key(action.id)) if action.ended else None
    if made is not None:
        await actions.link_retry(action.id, made.id)
    return made


async def _check(context: AppContext, action: Action, *, is_retry: bool) -> None:
    if not action.ended:
        if is_retry:
            raise AlreadyRetried(action.id)
        raise TransitionRefused(action.status)
    if action.settling or State.REPLAYED in (await context.store.dead_letters.chunk_states(action.id)).values():
        raise NotSettled
    if not action.counts.failure:
        raise NothingToRetry


@dataclass(frozen=True, slots=True)
class _Built:
    """A file that has been stored: its records, its size and its digest."""

    scan: Scan
    size: int
    sha256: str


class _Sink:
    """Takes a file in pieces: hashes it, finds its records and stores it, as an upload would."""

    def __init__(self, writer: StorageWriter, scanner: SpanScanner) -> None:
        self._writer, self._scanner = writer, scanner
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self._size = 0

    async def write(self, piece: bytes) -> None:
        self._pending += piece
        if len(self._pending) >= _BLOCK:
            await self._flush()

    async def finish(self) -> _Built:
        await self._flush()
        scan = await asyncio.to_thread(self._scanner.finish)
        return _Built(scan, self._size, self._digest.hexdigest())

    async def _flush(self) -> None:
        block, self._pending = bytes(self._pending), bytearray()
        if block:
            self._size += len(block)
            await asyncio.to_thread(self._take, block)
            await self._writer.write(block)

    def _take(self, block: bytes) -> None:
        self._digest.update(block)
        self._scanner.feed(block)


async def _build(context: AppContext, upload: Upload, original: Action) -> _Built:
    """Store the file of a retry, and which rows of the original it has."""
    settings, storage, file = context.settings, context.storage, original.file
    # What limits an upload has limited the original.
    scanner = SpanScanner(
        delimiter=file.delimiter,
        chunk_rows=settings.batch_size,
        chunk_bytes=settings.chunk_bytes,
        max_field_bytes=sys.maxsize,
        max_record_bytes=sys.maxsize,
    )
    async with upload.writer() as writer, storage.writer(upload.rows_key) as rows:
        sink, mapped = _Sink(writer, scanner), bytearray()
        await sink.write(await StoredRows(context.store, storage, original).header())
        async with aclosing(_failed(context, original)) as failed:
            async for numbers, lines in failed:
                await sink.write(lines)
                mapped += row_map.pack(numbers)
                if len(mapped) >= _BLOCK:
                    await rows.write(bytes(mapped))
                    mapped.clear()
        await rows.write(bytes(mapped))
        return await sink.finish()


async def _failed(context: AppContext, original: Action) -> AsyncGenerator[tuple[list[int], bytes], None]:
    """Yield, chunk by chunk, the numbers and the bytes of the rows that failed.

    Raises:
        ObjectMissing, RowsUnreadable: the file is not there any more, or not what it was.
    """
    rows = StoredRows(context.store, context.storage, original)
    async with aclosing(ahead(read_chunks(context, original, rows, {"FAILED"}))) as pieces:
        async for piece in pieces:
            for chunk in piece:
                yield await asyncio.to_thread(_failed_rows, rows, chunk)


def _failed_rows(rows: StoredRows, chunk: ReadChunk) -> tuple[list[int], bytes]:
    records = records_of(rows, chunk)
    numbers = [entry.row for entry in chunk.outcome.exceptions if entry.status == "FAILED"]
    lines = [records.texts[number - chunk.span.first_row] for number in numbers]
    # A quote that is still open goes on to the end of the file: nothing may be put behind it.
    is_open = records.open_quote and bool(numbers) and numbers[-1] == chunk.span.first_row + len(records.texts) - 1
    text = "".join(f"{line}\n" for line in lines)
    return numbers, (text[:-1] if is_open else text).encode(errors="surrogateescape")


def _action(
    context: AppContext, upload: Upload, original: Action, built: _Built, principal: Principal, digest: str | None
) -> Action:
    now = datetime.now(UTC)
    return Action(
        id=upload.action_id,
        account_id=original.account_id,
        action_type=original.action_type,
        entity_type=original.entity_type,
        status=Status.QUEUED,
        created_at=now,
        updated_at=now,
        total_count=built.scan.row_count,
        chunk_count=len(built.scan.index),
        file=replace(
            original.file,
            size=built.size,
            sha256=built.sha256,
            storage_key=upload.storage_key,
            spans_key=upload.spans_key,
        ),
        history=(Transition(status=Status.QUEUED, at=now, by=principal.name),),
        created_by=principal.name,
        chunk_key=new_chunk_key(),
        traceparent=current_traceparent(),
        retry_of=original.id,
        dispatch_attempts=1,
        dispatch_at=now + first_pause(context),
        idempotency_key=retry_key(original.id),
        request_digest=digest,
    )
