"""``scheduledAt``: how it is read, how far ahead it may be; and when a start that has failed is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dateutil.parser import isoparse

from app.domain.timestamps import iso_utc

#: Longest pause between two attempts to start an action: it is to begin soon after the broker is back.
_LONGEST_PAUSE = timedelta(seconds=60)


def longest_pause(first: timedelta) -> timedelta:
    """Return the pause at which they grow no more."""
    return max(first, _LONGEST_PAUSE)


def dispatch_pause(first: timedelta, attempts: int) -> timedelta:
    """Return the pause after so many attempts to start an action, and one more: it doubles."""
    # Beyond some doublings it is the longest in any case.
    return min(first * (1 << min(attempts, 20)), longest_pause(first))


def parse_schedule(text: object) -> datetime:
    """Read ``scheduledAt``: a text in ISO 8601, UTC when it names no offset.

    Raises:
        ValueError: it is not a date and time, in the words of the person who sent it.
    """
    if not isinstance(text, str):
        raise ValueError(_schedule_error(str(text)))
    if len(text.strip()) < len("2000-01-01T00:00"):
        raise ValueError(_schedule_error(text))
    try:
        timestamp = isoparse(text.strip())
        timestamp = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
        return timestamp.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_schedule_error(text)) from None


def check_schedule(timestamp: datetime | None, now: datetime, max_days: int) -> None:
    """Return when a schedule is not too far ahead.

    Raises:
        ValueError: it is, in the words of the person who sent it.
    """
    if timestamp is not None and timestamp > now + timedelta(days=max_days):
        raise ValueError(f"scheduledAt may be at most {max_days} days ahead, and is {iso_utc(timestamp)}.")


def _schedule_error(text: str) -> str:
    return f"scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not {text[:60]!r}."
