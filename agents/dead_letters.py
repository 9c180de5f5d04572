"""The dead letters: keep what could not be done, and let its action end all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.context import AppContext
from app.domain.account_events import dead_letter_stored
from app.domain.actions import Action, Status
from app.domain.dead_letters import DeadLetter, Kind, Origin, dead_chunk_outcome
from app.domain.streams import ROWS_PER_CHUNK, first_row_of
from app.kafka.inline_rows import InlineRows, read_chunk
from app.kafka.messages import Chunk, ChunkResult, Message, Undecodable
from app.kafka.retry_headers import RetryHeaders
from app.observability.metrics import count_rows
from app.services.arrivals import keep_refused
from app.services.dead_letters import keep_of_nobody
from app.services.retention import expire_parts

#: Longest message, and longest key, that is kept, bytes.
MAX_PAYLOAD = 256 * 1024
MAX_KEY = 1024


async def store_dead_letter(event: Any, context: AppContext) -> None:
    """Keep a dead message; if it is a chunk, its rows are FAILED, and that is its result."""
    letter = _letter(event, Kind.MESSAGE)
    chunk = _chunk(event, letter.origin, context)
    if isinstance(chunk, InlineRows):
        await keep_refused(context, chunk, letter.error)
        return
    action_id = _action_id(event.value)
    action = None if action_id is None else await context.store.actions.find(action_id)
    if action_id is not None and action is None and await context.store.erased_actions.knows(action_id):
        # It was deleted, and nothing of it is kept.
        return
    # Nobody but who has the action sees the letter, whatever the message says of its account.
    letter = replace(letter, action_id=action_id, account_id=None if action is None else action.account_id)
    if chunk is None:
        await _put(letter, context)
        return
    if action is not None and action.chunk_key is not None and not chunk.is_sealed(action.chunk_key):
        return
    span = chunk.span
    letter = replace(letter, id=chunk.id, kind=Kind.CHUNK, index=chunk.index, first_row=span.first_row)
    await _put(replace(letter, row_count=span.rows), context)
    if action is None or not _is_of(chunk, action):
        return
    if action.status == Status.FAILED:
        await expire_parts(context, action, [chunk.index])
        return
    outcome = dead_chunk_outcome(chunk.span.first_row, chunk.span.rows, letter.error)
    # A delivery of the same chunk that went well in the meantime has the last word.
    entry = await context.store.ledger.close_as_dead(chunk.id, outcome)
    await expire_parts(context, action, [chunk.index])
    if entry.dead:
        count_rows(action.entity_type, outcome.counts)
    else:
        await context.store.dead_letters.mark_done(chunk.id)
    await context.topics.results.send(
        ChunkResult.of(chunk.action_id, chunk.index, chunk.source.chunk_count, entry.counts)
    )


async def keep_poison(event: Any, context: AppContext) -> None:
    """Keep bytes that no agent could read."""
    await _put(_letter(event, Kind.POISON), context)


async def _put(letter: DeadLetter, context: AppContext) -> None:
    if letter.account_id is None:
        await keep_of_nobody(context, letter)
        return
    await context.store.dead_letters.put(letter)
    # A chunk that was given up is told by its ledger.
    if letter.kind is not Kind.CHUNK:
        context.event_log.note(dead_letter_stored(letter))


def _is_of(chunk: Chunk, action: Action) -> bool:
    """Tell whether an action can have such a chunk: anybody can send one."""
    if action.stream is not None:
        fits = chunk.span.first_row == first_row_of(chunk.index) and chunk.span.rows <= ROWS_PER_CHUNK
        return chunk.index < action.chunk_count and fits
    last_row = chunk.span.first_row + chunk.span.rows - 1
    return chunk.index < action.chunk_count and last_row <= action.total_count


def _chunk(event: Any, origin: Origin, context: AppContext) -> Chunk | InlineRows | None:
    if origin.topic != context.topics.chunks.name:
        return None
    try:
        return read_chunk(event)
    except Undecodable:
        return None


def _action_id(value: bytes | None) -> str | None:
    """Return which action a message is about, if it says so."""
    try:
        return Message.decode(value).action_id
    except Undecodable:
        return None


def _letter(event: Any, kind: Kind) -> DeadLetter:
    retry_headers = RetryHeaders.read(event.message.headers) or RetryHeaders.first(event, "no history")
    key, value = event.message.key, event.value or b""
    # Of what was too long to travel only the beginning is here.
    length = max(len(value), retry_headers.full_length or 0)
    # Tells apart equal places of topics that were made anew.
    time = int((event.message.timestamp or 0) * 1000)
    return DeadLetter(
        id=f"{retry_headers.origin}:{time}",
        kind=kind,
        error=retry_headers.error,
        origin=retry_headers.origin,
        at=datetime.now(UTC),
        message=f"{Origin.of(event)}:{time}",
        key=None if key is None else key[:MAX_KEY],
        payload=value[:MAX_PAYLOAD],
        length=length,
        complete=length <= MAX_PAYLOAD,
        retry_count=retry_headers.retry_count,
        first_failure=retry_headers.first_failure,
    )
