"""How a chunk of rows arrives over Kafka.

It is first stored: its rows as an object, then that it is there, in one document. Only then it goes the way of all
chunks, as a message that names it. So from the moment at which Kafka forgets it, the database knows it, and whoever
finds it without an outcome can send it again. Whatever is delivered twice has been stored before, and changes nothing.

What cannot be taken is kept as a dead letter of the account, if it has the token of the action. Without that it leaves
a line in the log: nobody can fill the database of others.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import UTC, datetime
from enum import StrEnum

from app.context import AppContext
from app.domain import upload_keys
from app.domain.account_events import dead_letter_stored
from app.domain.account_limits import StorageFull, TooManyActiveRows, TooManyRows
from app.domain.actions import Action
from app.domain.dead_letters import DeadLetter, Kind, Origin
from app.domain.inline_rows import InlineTable, NotFlat
from app.domain.operations import find_operation
from app.domain.printable import printable
from app.domain.streams import MOST_CHUNKS, StreamChunk
from app.kafka.inline_rows import InlineRows
from app.observability.logs import event
from app.observability.metrics import STREAM_CHUNKS
from app.services.issuing import stream_chunk
from app.services.quotas import check_chunk_room
from app.services.streams import fail_stream, seal_if_complete

log = logging.getLogger(__name__)

#: Most refused chunks of an action that are kept as dead letters, and how much of each, bytes.
_KEPT, _KEPT_BYTES = 100, 256 * 1024


class Refusal(StrEnum):
    """Why a chunk is not taken."""

    UNKNOWN_ACTION = "unknown action"
    WRONG_TOKEN = "wrong token"  # noqa: S105 - it is none
    NOT_FLAT = "not flat"
    TOO_LARGE = "too large"
    TOO_MANY = "too many"
    MISMATCH = "mismatch"
    LATE = "late"


class RowsRefused(Exception):
    """A chunk is not taken; the message says why to whoever has sent it."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal


for _outcome in ("taken", "known", *Refusal):
    STREAM_CHUNKS.labels(_outcome)


async def take_rows(context: AppContext, message: InlineRows) -> None:
    """Take a chunk of rows, or refuse it.

    Raises:
        OSError, app.domain.faults.DependencyFault: something is away; the message is to be tried again.
    """
    action = await context.store.actions.get(message.action_id)
    if action is None or action.stream is None or not action.stream.accepts(message.stream_token):
        refusal = Refusal.UNKNOWN_ACTION if action is None or action.stream is None else Refusal.WRONG_TOKEN
        STREAM_CHUNKS.labels(refusal).inc()
        log.warning(event("rows refused", action=message.action_id, reason=refusal, at=_place(context, message)))
        return
    try:
        await _take(context, action, message)
    except RowsRefused as refused:
        STREAM_CHUNKS.labels(refused.refusal).inc()
        log.warning(event("rows refused", action=action.id, reason=refused.refusal, at=_place(context, message)))
        await _keep(context, action, message, str(refused))


async def keep_refused(context: AppContext, message: InlineRows, reason: str) -> None:
    """Keep a chunk that could not be taken as a dead letter, if it has the token of its action.

    Raises:
        app.domain.faults.DependencyFault: the database is away.
    """
    action = await context.store.actions.get(message.action_id)
    if action is not None and action.stream is not None and action.stream.accepts(message.stream_token):
        await _keep(context, action, message, reason)


async def _take(context: AppContext, action: Action, message: InlineRows) -> None:
    table = await _read(action, message)
    number = await _number(context, action, message)
    known = None if number is None else await context.store.stream_chunks.get(action.id, number)
    if known is None:
        action, standing = await _add(context, action, message, table, number)
    else:
        standing = await _same(message, table, known)
    if not action.ended:
        await context.topics.chunks.send(stream_chunk(action, standing))
    STREAM_CHUNKS.labels("taken" if known is None else "known").inc()
    if _may_be_complete(action):
        await seal_if_complete(context, action)


async def _read(action: Action, message: InlineRows) -> InlineTable:
    operation = find_operation(action.action_type)
    if message.entity_type is not None and message.entity_type.strip().casefold() != action.entity_type.casefold():
        told = printable(message.entity_type, 40)
        raise RowsRefused(
            Refusal.MISMATCH, f"The rows are said to be of {told}, and the action is on {action.entity_type}."
        )
    partial = operation is not None and operation.partial
    try:
        # In a thread, so that a large chunk holds up nobody else.
        return await asyncio.to_thread(InlineTable, action.file.columns, message.rows, partial=partial)
    except NotFlat as error:
        raise RowsRefused(Refusal.NOT_FLAT, str(error)) from None


async def _number(context: AppContext, action: Action, message: InlineRows) -> int | None:
    """Return the number of a chunk; None: it has none yet."""
    if message.index is not None:
        return message.index
    place = message.read_at
    return await context.store.stream_chunks.number_at(action.id, place.partition, place.offset)


async def _add(
    context: AppContext, action: Action, message: InlineRows, table: InlineTable, number: int | None
) -> tuple[Action, StreamChunk]:
    """Store a chunk of which nothing is known; return the action then, and the chunk that stands."""
    store, storage = context.store, context.storage
    data = await asyncio.to_thread(table.to_csv, MOST_CHUNKS if number is None else number)
    await _check(context, action, message, data)
    taken = await _take_number(context, action, message, number)
    if taken != number:
        data = await asyncio.to_thread(table.to_csv, taken)
    chunk = _chunk(taken, len(message.rows), data)
    key = upload_keys.chunk_key(action.id, taken, chunk.sha256)
    await storage.put(key, data)
    standing = await store.stream_chunks.add(action.id, chunk)
    if not standing.same_as(chunk):
        await storage.delete(key)
        raise _other(standing)
    return await store.actions.note_chunk(action.id, chunk.rows, chunk.size) or action, chunk


async def _take_number(context: AppContext, action: Action, message: InlineRows, number: int | None) -> int:
    """Return the number that a chunk has from now on, whatever becomes of this delivery of it."""
    if number is not None and message.index is None:
        # A delivery before this one had got it.
        return number
    store, place = context.store, message.read_at
    while True:
        taken = _open_for(await store.actions.take_number(action.id, message.index))
        if message.index is not None:
            return message.index
        if taken.chunk_count > MOST_CHUNKS:
            raise RowsRefused(Refusal.TOO_MANY, f"An action may have {MOST_CHUNKS:,} chunks.")
        # A server may answer with what another one has counted a moment later: then both are told the same number.
        # One that nobody gets stays vacant.
        if await store.stream_chunks.claim_number(action.id, taken.chunk_count - 1):
            break
    return await store.stream_chunks.number(action.id, place.partition, place.offset, taken.chunk_count - 1)


async def _check(context: AppContext, action: Action, message: InlineRows, data: bytes) -> None:
    """Check that a new chunk may come, as far as that can be told before anything of it is stored."""
    _open_for(action if action.takes_chunks and not action.ended else None)
    declared = None if action.stream is None else action.stream.declared
    if declared is not None and declared.chunks is not None and (message.index or 0) >= declared.chunks:
        raise RowsRefused(Refusal.MISMATCH, f"The action was closed with {declared}: it has no chunk of this index.")
    if len(data) > context.settings.chunk_bytes:
        most = context.settings.chunk_bytes
        raise RowsRefused(
            Refusal.TOO_LARGE, f"The rows have {len(data):,} bytes as CSV, and a chunk may have {most:,}."
        )
    try:
        await check_chunk_room(context, action, len(data), len(message.rows))
    except (TooManyRows, TooManyActiveRows, StorageFull) as error:
        await fail_stream(context, action, str(error))
        raise RowsRefused(Refusal.TOO_MANY, str(error)) from None


def _open_for(action: Action | None) -> Action:
    """Return the action if there is one that takes the chunk."""
    if action is None:
        raise RowsRefused(
            Refusal.LATE, "The action takes no more chunks, or numbers them in the other way: by index or without."
        )
    return action


async def _same(message: InlineRows, table: InlineTable, known: StreamChunk) -> StreamChunk:
    """Return a chunk that has come before, if these are its rows."""
    data = await asyncio.to_thread(table.to_csv, known.number)
    if not known.same_as(_chunk(known.number, len(message.rows), data)):
        raise _other(known)
    return known


def _other(standing: StreamChunk) -> RowsRefused:
    if standing.vacant:
        return RowsRefused(Refusal.LATE, "The action takes no more chunks.")
    return RowsRefused(Refusal.MISMATCH, f"A chunk of index {standing.number} with other rows has come before.")


def _chunk(number: int, rows: int, data: bytes) -> StreamChunk:
    return StreamChunk(number, rows, len(data), hashlib.sha256(data).hexdigest())


def _may_be_complete(action: Action) -> bool:
    """Tell whether it is worth looking whether all chunks are there."""
    stream = action.stream
    if stream is None or stream.sealed or stream.declared is None:
        return False
    rows, chunks = stream.declared.rows, stream.declared.chunks
    return (rows is None or action.total_count >= rows) and (chunks is None or stream.arrived >= chunks)


async def _keep(context: AppContext, action: Action, message: InlineRows, reason: str) -> None:
    """Keep a refused chunk as a dead letter, unless the action has many of them already."""
    letters, origin = context.store.dead_letters, _place(context, message)
    name = f"{origin}:{action.id}"
    if await letters.get(name) is not None or await context.store.actions.count_refused(action.id) > _KEPT:
        return
    payload, now = message.without_token.encode(), datetime.now(UTC)
    letter = DeadLetter(
        id=name,
        kind=Kind.ROWS,
        error=reason,
        origin=origin,
        at=now,
        message=name,
        key=message.key.encode(),
        payload=payload[:_KEPT_BYTES],
        length=len(payload),
        complete=len(payload) <= _KEPT_BYTES,
        first_failure=now.isoformat(timespec="milliseconds"),
        action_id=action.id,
        account_id=action.account_id,
        index=message.index,
        row_count=len(message.rows),
    )
    await letters.put(letter)
    context.event_log.note(dead_letter_stored(letter))


def _place(context: AppContext, message: InlineRows) -> Origin:
    return Origin(context.topics.chunks.name, message.read_at.partition, message.read_at.offset)
