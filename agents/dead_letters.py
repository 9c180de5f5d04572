"""The dead letters: keep what could not be done, and let its action end all the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.domain.actions import Status
from app.domain.dead_letters import dead_chunk_outcome
from app.headers import Handover, Origin
from app.messages import Chunk, ChunkResult, Message, Undecodable
from app.platform import Platform

#: Longest message, and longest key, that is kept, bytes.
MAX_PAYLOAD = 256 * 1024
MAX_KEY = 1024


async def bury(event: Any, platform: Platform) -> None:
    """Keep a dead message; if it is a chunk, its rows are FAILED, and that is its result."""
    handover = Handover.read(event.message.headers) or Handover.first(event, "no history")
    chunk = _chunk(event, handover, platform)
    letter = _letter(event, handover)
    if chunk is None:
        letter |= await _action_of(event.value, platform)
        await platform.store.dead_letters.put(f"{handover.origin}:{_time(event)}", letter)
        return
    await platform.store.dead_letters.put(
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
    action = await platform.store.actions.get(chunk.action_id)
    if action is None or action["status"] == Status.FAILED or not _is_of(chunk, action):
        return
    outcome = dead_chunk_outcome(chunk.span.first_row, chunk.span.rows, handover.error)
    # A delivery of the same chunk that went well in the meantime has the last word.
    entry = await platform.store.ledger.close_as_dead(chunk.id, outcome)
    if not entry.dead:
        await platform.store.dead_letters.finish(chunk.id)
    await platform.topics.results.send(
        ChunkResult.of(chunk.action_id, chunk.index, chunk.source.chunk_count, entry.counts)
    )


async def keep_poison(event: Any, platform: Platform) -> None:
    """Keep bytes that no agent could read."""
    handover = Handover.read(event.message.headers) or Handover.first(event, "no history")
    letter = _letter(event, handover) | {"kind": "POISON"}
    await platform.store.dead_letters.put(f"{handover.origin}:{_time(event)}", letter)


def _is_of(chunk: Chunk, action: Mapping[str, Any]) -> bool:
    """Tell whether an action can have such a chunk: anybody can send one."""
    last_row = chunk.span.first_row + chunk.span.rows - 1
    return bool(chunk.index < action["chunkCount"] and last_row <= action["totalCount"])


def _chunk(event: Any, handover: Handover, platform: Platform) -> Chunk | None:
    if handover.origin.topic != platform.topics.chunks.name:
        return None
    try:
        return Chunk.decode(event.value)
    except Undecodable:
        return None


async def _action_of(value: bytes | None, platform: Platform) -> dict[str, Any]:
    """Return which action a message is about, and whose that is: nobody else sees the letter."""
    try:
        action_id = Message.decode(value).action_id
    except Undecodable:
        return {"kind": "MESSAGE"}
    action = await platform.store.actions.get(action_id)
    owner = {"accountId": action["accountId"]} if action else {}
    return {"kind": "MESSAGE", "actionId": action_id, **owner}


def _time(event: Any) -> int:
    """Tell apart equal places of topics that were made anew."""
    return int((event.message.timestamp or 0) * 1000)


def _letter(event: Any, handover: Handover) -> dict[str, Any]:
    origin: Origin = handover.origin
    key, value = event.message.key, event.value or b""
    # Of what was too long to travel only the beginning is here.
    length = max(len(value), handover.full_length or 0)
    return {
        "status": "DEAD",
        "message": f"{Origin.of(event)}:{_time(event)}",
        "error": handover.error,
        "retryCount": handover.retry_count,
        "firstFailure": handover.first_failure,
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "key": None if key is None else key[:MAX_KEY],
        "payload": value[:MAX_PAYLOAD],
        "length": length,
        "complete": length <= MAX_PAYLOAD,
        "at": datetime.now(UTC),
    }
