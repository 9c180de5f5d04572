"""Dead letters: what the rows of a chunk become that could not be run, and what a client sees of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.domain.actions import iso
from app.domain.outcomes import DEAD_LETTER, ChunkOutcome, Counts, RowOutcome

CODE = DEAD_LETTER


class Obstacle(StrEnum):
    """Why a letter cannot be replayed: the name is a code, the value a sentence."""

    NOT_REPLAYABLE = "This message cannot be sent again: it is no longer whole."
    ACTION_OVER = "The action of this chunk has failed or is gone, so that its rows cannot be run any more."
    CHUNK_UNREADABLE = "The rows of this chunk cannot be read any more."


def dead_chunk_outcome(first_row: int, row_count: int, error: str) -> ChunkOutcome:
    """Return the outcome of a chunk that was given up: every row FAILED, with the reason."""
    message = f"The row could not be processed and can be replayed: {error}"[:200]
    exceptions = [RowOutcome(row, "FAILED", CODE, message) for row in range(first_row, first_row + row_count)]
    return ChunkOutcome(first_row, row_count, Counts(failure=row_count), exceptions, created=0)


def presented(letter: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dead letter as the API shows it; an unreadable payload in base64."""
    payload: bytes = letter["payload"]
    try:
        text, encoding = payload.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(payload).decode(), "base64"
    return {
        "id": letter["_id"],
        "kind": letter["kind"],
        "status": letter["status"],
        "actionId": letter.get("actionId"),
        "index": letter.get("index"),
        "firstRow": letter.get("firstRow"),
        "rowCount": letter.get("rowCount"),
        "error": letter["error"],
        "retryCount": letter["retryCount"],
        "firstFailure": letter["firstFailure"],
        "origin": letter["origin"],
        "at": iso(letter["at"]),
        "replayedAt": iso(letter.get("replayedAt")),
        "payload": text,
        "payloadEncoding": encoding,
    }
