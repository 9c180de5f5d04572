"""Messages of outside producers, which have the rows of a chunk themselves.

``{"actionId", "rows": [{...}, ...]}``, with an ``index`` or without one, as it is or in the envelope of Kafka Connect
(``{"schema": ..., "payload": {...}}``). The token of the action is in the header ``stream-token``, or where a producer
cannot have headers in the field ``streamToken``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.dead_letters import Origin
from app.domain.streams import MOST_CHUNKS, ROWS_PER_CHUNK
from app.kafka.messages import Chunk, Message, Undecodable, chunk_id, first_fault
from app.kafka.retry_headers import RetryHeaders

TOKEN_HEADER: Final = "stream-token"  # noqa: S105 - it is none

#: Longest token that is looked at, bytes.
_LONGEST_TOKEN: Final = 512


class Place(BaseModel):
    """Where a message was first read: it is known by that wherever it is read again."""

    model_config = ConfigDict(frozen=True)

    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class InlineRows(Message):
    """The rows of one chunk of an action.

    ``read_at`` and ``stream_token`` are filled in when it is read, and travel with it when it is tried again.
    """

    entity_type: str | None = None
    index: int | None = Field(None, ge=0, lt=MOST_CHUNKS)
    rows: list[Any] = Field(min_length=1, max_length=ROWS_PER_CHUNK)
    stream_token: str | None = None
    read_at: Place

    @property
    def key(self) -> str:
        """As that of a chunk; without an index it is any of its action."""
        return self.action_id if self.index is None else chunk_id(self.action_id, self.index)

    @property
    def without_token(self) -> Self:
        """The message as anybody may see it who may see the action."""
        return self.model_copy(update={"stream_token": None})

    def encode(self) -> bytes:
        """Return the message as JSON, with all values of its rows, also those that are null."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"rows"})
        return json.dumps(fields | {"rows": self.rows}, separators=(",", ":")).encode()


class ChunkMessage:
    """What the chunk topic has: chunks of ours, and rows of outside producers."""

    @staticmethod
    def read(event: Any) -> Chunk | InlineRows:
        """Read the message of an event; raises as :func:`read_chunk`."""
        return read_chunk(event)


def read_chunk(event: Any) -> Chunk | InlineRows:
    """Read a message of the chunk topic: one of our own, or rows.

    Raises:
        Undecodable: it is neither.
    """
    value = event.value
    try:
        return Chunk.decode(value)
    except Undecodable:
        found = {} if value is None else _payload(value)
        if "rows" not in found:
            raise
    if (token := _token(event.message.headers)) is not None:
        found["streamToken"] = token
    if "readAt" not in found:
        origin = _origin(event)
        found["readAt"] = {"partition": origin.partition, "offset": origin.offset}
    try:
        return InlineRows.model_validate(found)
    except ValidationError as error:
        raise Undecodable(first_fault(error)) from None


def _origin(event: Any) -> Origin:
    history = RetryHeaders.read(event.message.headers)
    return Origin.of(event) if history is None else history.origin


def _payload(value: bytes) -> dict[str, Any]:
    """Return the object of a message, taken out of the envelope of Kafka Connect if it is in one.

    Numbers stay as they are written: no digit of them is lost. What is no number is none: null.
    """
    try:
        found = json.loads(value, parse_float=str, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("payload"), dict) and "schema" in found:
        found = found["payload"]
    if not isinstance(found, dict):
        raise Undecodable("no JSON object")
    return found


def _token(headers: Any) -> str | None:
    """Return the token among headers, as text, as JSON, or as JSON in the envelope of Kafka Connect."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    value = next((value for name, value in pairs if name == TOKEN_HEADER), None)
    if value is None or len(value) > _LONGEST_TOKEN:
        return None
    text = bytes(value).decode(errors="replace").strip()
    if text[:1] not in ('"', "{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found = found.get("payload") if isinstance(found, dict) else found
    return found if isinstance(found, str) else None
