"""Kafka headers of messages that are handed over: where they come from, how often they were tried, and why.

``origin-topic``, ``origin-partition``, ``origin-offset``: the place the message was first read from.
``retry-count``: how often it has been handed over. ``first-failure``: ISO 8601. ``error-message``: the last
failure. ``due``: when a retry topic gives it back, in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

#: Longest error message that travels, characters.
_MAX_ERROR = 1000


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def of(cls, event: Any) -> Self:
        """Return where an event was read."""
        message = event.message
        return cls(message.topic, message.partition, message.offset)


@dataclass(frozen=True, slots=True)
class Handover:
    """The history of a message that could not be done at once."""

    origin: Origin
    retry_count: int
    first_failure: str
    error: str
    due: float = 0.0

    @classmethod
    def first(cls, event: Any, error: str) -> Self:
        """Return the history of an event that has failed for the first time."""
        return cls(Origin.of(event), 0, datetime.now(UTC).isoformat(timespec="milliseconds"), error)

    @classmethod
    def after(cls, event: Any, error: str) -> Self:
        """Return the history of an event after one more failure."""
        before = cls.read(event.message.headers) or cls.first(event, error)
        return replace(before, retry_count=before.retry_count + 1, error=error)

    @classmethod
    def read(cls, headers: Any) -> Self | None:
        """Read a history; None when the message has none that can be read."""
        found: Mapping[str, bytes] = dict(headers.items() if hasattr(headers, "items") else headers or ())
        try:
            origin = Origin(found["origin-topic"].decode(), int(found["origin-partition"]), int(found["origin-offset"]))
            return cls(
                origin,
                max(0, int(found["retry-count"])),
                found["first-failure"].decode(),
                found["error-message"].decode(),
                float(found.get("due", b"0")),
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            return None

    def due_at(self, moment: float) -> Self:
        """Return the history with the time at which the message is to be given back."""
        return replace(self, due=moment)

    def to_headers(self) -> dict[str, bytes]:
        """Return the history as Kafka headers."""
        headers = {
            "origin-topic": self.origin.topic,
            "origin-partition": str(self.origin.partition),
            "origin-offset": str(self.origin.offset),
            "retry-count": str(self.retry_count),
            "first-failure": self.first_failure,
            "error-message": self.error[:_MAX_ERROR],
        }
        if self.due:
            headers["due"] = f"{self.due:.3f}"
        return {name: value.encode(errors="replace") for name, value in headers.items()}
