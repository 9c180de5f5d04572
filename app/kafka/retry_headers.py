"""Kafka headers of messages that are handed over: where they come from, how often they were tried, and why.

``origin-topic``, ``origin-partition``, ``origin-offset``: the place the message was first read from.
``retry-count``: how often it has been handed over. ``attempt``: how often of these everything it depends on
answered. ``first-failure``: ISO 8601. ``error-message``: the last failure. ``due``: when a retry topic gives it back,
in seconds since 1970. ``full-length``: of a value that was cut, how long it was, bytes.

Anybody can write headers. What is out of bounds is taken for no history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from app.domain.dead_letters import Origin

#: Longest error message that travels, characters.
_MAX_ERROR = 1000
#: Longest header that is read, bytes: no topic has a longer name, and an error of that many characters fits.
_MAX_HEADER = 4 * _MAX_ERROR


@dataclass(frozen=True, slots=True)
class RetryHeaders:
    """The history of a message that could not be done at once."""

    origin: Origin
    retry_count: int
    first_failure: str
    error: str
    due: float = 0.0
    attempt: int = 0
    full_length: int | None = None

    @classmethod
    def first(cls, event: Any, error: str) -> Self:
        """Return the history of an event that has failed for the first time."""
        return cls(Origin.of(event), 0, datetime.now(UTC).isoformat(timespec="milliseconds"), error)

    @classmethod
    def after(cls, event: Any, error: str, *, counted: bool = True) -> Self:
        """Return the history of an event after one more failure; ``counted``: everything else answered meanwhile."""
        before = cls.read(event.message.headers) or cls.first(event, error)
        return replace(before, retry_count=before.retry_count + 1, attempt=before.attempt + counted, error=error)

    @classmethod
    def read(cls, headers: Any) -> Self | None:
        """Read a history; None when the message has none that can be read."""
        try:
            pairs = headers.items() if hasattr(headers, "items") else headers or ()
            found: Mapping[str, bytes] = {name: value for name, value in pairs if len(value or b"") <= _MAX_HEADER}
            retry_count = _count(found["retry-count"], _MAX_INT32)
            return cls(
                Origin(
                    found["origin-topic"].decode(),
                    _count(found["origin-partition"], _MAX_INT32),
                    _count(found["origin-offset"], _MAX_INT64),
                ),
                retry_count,
                found["first-failure"].decode(),
                found["error-message"].decode(),
                _moment(found.get("due", b"0")),
                _count(found["attempt"], _MAX_INT32) if "attempt" in found else retry_count,
                _count(found["full-length"], _MAX_INT64) if "full-length" in found else None,
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            return None

    def due_at(self, moment: float) -> Self:
        """Return the history with the time at which the message is to be given back."""
        return replace(self, due=moment)

    def cut(self, full_length: int) -> Self:
        """Return the history of a message of which only the beginning travels."""
        return replace(self, full_length=full_length)

    def to_headers(self) -> dict[str, bytes]:
        """Return the history as Kafka headers."""
        headers = {
            "origin-topic": self.origin.topic,
            "origin-partition": str(self.origin.partition),
            "origin-offset": str(self.origin.offset),
            "retry-count": str(self.retry_count),
            "attempt": str(self.attempt),
            "first-failure": self.first_failure,
            "error-message": self.error[:_MAX_ERROR],
        }
        if self.due:
            headers["due"] = f"{self.due:.3f}"
        if self.full_length is not None:
            headers["full-length"] = str(self.full_length)
        return {name: value.encode(errors="replace") for name, value in headers.items()}


_MAX_INT32 = 2**31 - 1
_MAX_INT64 = 2**63 - 1


def _count(value: bytes, most: int) -> int:
    number = int(value)
    if not -most <= number <= most:
        raise ValueError("out of bounds")
    return max(0, number)


def _moment(value: bytes) -> float:
    moment = float(value)
    if not math.isfinite(moment):
        raise ValueError("no time")
    return moment
