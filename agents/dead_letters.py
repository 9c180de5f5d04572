"""The dead letters: keep what could not be done, and let its action end all the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.context import AppContext
from app.domain.actions import Status
from app.domain.dead_letters import dead_chunk_outcome
from app.kafka.messages import Chunk, ChunkResult, Message, Undecodable
from app.kafka.retry_headers import Origin, RetryHeaders

#: Longest message, and longest key, that is kept, bytes.
MAX_PAYLOAD = 256 * 1024
MAX_KEY = 1024


async def store_dead_letter(event: Any, context: AppContext) -> None:
    """Keep a dead message; if it is a chunk, its rows are FAILED, and that is its result."""
    retry_headers = RetryHeaders.read(event.message.headers) or RetryHeaders.first(event, "no history")
    chunk = _chunk(event, retry_headers, context)
    letter = _letter(event, retry_headers)
    if chunk is None:
        letter |= await _action_of(event.value, context)
        await context.store.dead_letters.put(f"{retry_headers.origin}:{_time(event)}", letter)
        return
    await context.store.dead_letters.put(
        chunk.id,
        letter
        | {
            "kind": "CHUNK",
            "actionId": chunk.action_id,
            "accountId": chunk.source.account_id,
            "index": chunk.index,
            "firstRow": chunk.span.first_row,
            "rowCount": chunk.span.rows,
        },
    )
    action = await context.store.actions.get(chunk.action_id)
    if action is None or action["status"] == Status.FAILED or not _is_of(chunk, action):
        return
    outcome = dead_chunk_outcome(chunk.span.first_row, chunk.span.rows, retry_headers.error)
    # A delivery of the same chunk that went well in the meantime has the last word.
    entry = await context.store.ledger.close_as_dead(chunk.id, outcome)
    if not entry.dead:
        await context.store.dead_letters.finish(chunk.id)
    await context.topics.results.send(
        ChunkResult.of(chunk.action_id, chunk.index, chunk.source.chunk_count, entry.counts)
    )


async def keep_poison(event: Any, context: AppContext) -> None:
    """Keep bytes that no agent could read."""
    retry_headers = RetryHeaders.read(event.message.headers) or RetryHeaders.first(event, "no history")
    letter = _letter(event, retry_headers) | {"kind": "POISON"}
    await context.store.dead_letters.put(f"{retry_headers.origin}:{_time(event)}", letter)


def _is_of(chunk: Chunk, action: Mapping[str, Any]) -> bool:
    """Tell whether an action can have such a chunk: anybody can send one."""
    last_row = chunk.span.first_row + chunk.span.rows - 1
    return bool(chunk.index < action["chunkCount"] and last_row <= action["totalCount"])


def _chunk(event: Any, retry_headers: RetryHeaders, context: AppContext) -> Chunk | None:
    if retry_headers.origin.topic != context.topics.chunks.name:
        return None
    try:
        return Chunk.decode(event.value)
    except Undecodable:
        return None


async def _action_of(value: bytes | None, context: AppContext) -> dict[str, Any]:
    """Return which action a message is about, and whose that is: nobody else sees the letter."""
    try:
        action_id = Message.decode(value).action_id
    except Undecodable:
        return {"kind": "MESSAGE"}
    action = await context.store.actions.get(action_id)
    owner = {"accountId": action["accountId"]} if action else {}
    return {"kind": "MESSAGE", "actionId": action_id, **owner}


def _time(event: Any) -> int:
    """Tell apart equal places of topics that were made anew."""
    return int((event.message.timestamp or 0) * 1000)


def _letter(event: Any, retry_headers: RetryHeaders) -> dict[str, Any]:
    origin: Origin = retry_headers.origin
    key, value = event.message.key, event.value or b""
    # Of what was too long to travel only the beginning is here.
    length = max(len(value), retry_headers.full_length or 0)
    return {
        "status": "DEAD",
        "message": f"{Origin.of(event)}:{_time(event)}",
        "error": retry_headers.error,
        "retryCount": retry_headers.retry_count,
        "firstFailure": retry_headers.first_failure,
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "key": None if key is None else key[:MAX_KEY],
        "payload": value[:MAX_PAYLOAD],
        "length": length,
        "complete": length <= MAX_PAYLOAD,
        "at": datetime.now(UTC),
    }
