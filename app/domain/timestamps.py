"""How a timestamp is written for people and programs outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def iso_utc(timestamp: datetime) -> str: ...
@overload
def iso_utc(timestamp: datetime | None) -> str | None: ...
def iso_utc(timestamp: datetime | None) -> str | None:
    """Write a timestamp in ISO 8601: UTC, milliseconds, ``Z``; one without offset is UTC."""
    if timestamp is None:
        return None
    aware = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
