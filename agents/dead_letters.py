"""The dead-letter agents: keep what could not be done, and let its action end all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.domain.actions import Status
from app.domain.dead_letters import dead_chunk_outcome
from app.headers import Handover, Origin
from app.messages import Chunk, ChunkResult, Message, Undecodable
from app.platform import Platform

#: Longest unreadable message that is kept, bytes.
_MAX_PAYLOAD = 256 * 1024


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
    if action is None or action["status"] == Status.FAILED:
        return
    outcome = dead_chunk_outcome(chunk.span.first_row, chunk.span.rows, handover.error)
    # A delivery of the same chunk that went well in the meantime has the last word.
    entry = await platform.store.ledger.close_as_dead(chunk.id, outcome)
    await platform.topics.results.send(
        ChunkResult.of(chunk.action_id, chunk.index, chunk.source.chunk_count, entry.counts)
    )


async def keep_poison(event: Any, platform: Platform) -> None:
    """Keep bytes that no agent could read."""
    handover = Handover.read(event.message.headers) or Handover.first(event, "no history")
    letter = _letter(event, handover) | {"kind": "POISON"}
    await platform.store.dead_letters.put(f"{handover.origin}:{_time(event)}", letter)


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
    return {
        "status": "DEAD",
        "error": handover.error,
        "retryCount": handover.retry_count,
        "firstFailure": handover.first_failure,
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "key": event.message.key,
        "payload": (event.value or b"")[:_MAX_PAYLOAD],
        "complete": len(event.value or b"") <= _MAX_PAYLOAD,
        "at": datetime.now(UTC),
    }
