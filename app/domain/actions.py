"""The life of a bulk action: its statuses, which changes are allowed, and what a client sees of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from dateutil.parser import isoparse

from app.domain.speed import rate_at


class Status(StrEnum):
    """Where an action is in its life."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


#: Each status with those that may follow it.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.PROCESSING, Status.FAILED, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.PAUSED: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

#: Statuses that nothing follows.
ENDED = frozenset(status for status, after in TRANSITIONS.items() if not after)

#: What can be asked for today; the names of the others are reserved.
ACTION_TYPES = frozenset({"BULK_UPDATE"})

_ACTION_ID = re.compile(r"[0-9a-f]{24}")


def sources_of(target: Status) -> list[Status]:
    """Return the statuses from which an action may become ``target``."""
    return [status for status, after in TRANSITIONS.items() if target in after]


def is_action_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an action id: 24 lower-case hexadecimal digits."""
    return _ACTION_ID.fullmatch(text) is not None


def parse_schedule(text: str) -> datetime:
    """Read ``scheduledAt``: ISO 8601, UTC when it names no offset.

    Raises:
        ValueError: it is not a date and time, in the words of the person who sent it.
    """
    if len(text.strip()) < len("2000-01-01T00:00"):
        raise ValueError(_schedule_error(text))
    try:
        moment = isoparse(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_schedule_error(text)) from None


def check_schedule(moment: datetime | None, now: datetime, max_days: int) -> None:
    """Return when a schedule is not too far ahead.

    Raises:
        ValueError: it is, in the words of the person who sent it.
    """
    if moment is not None and moment > now + timedelta(days=max_days):
        raise ValueError(f"scheduledAt may be at most {max_days} days ahead, and is {iso(moment)}.")


def _schedule_error(text: str) -> str:
    return f"scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not {text[:60]!r}."


def iso(moment: datetime | None) -> str | None:
    """Write a moment as the API shows it: ISO 8601, milliseconds, ``Z``; one without offset is UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: Rows per second below which no time is told.
_SLOWEST = 1e-3

_COUNTS = ("totalCount", "processedCount", "successCount", "failureCount", "skippedCount")
_DETAIL_COUNTS = ("duplicateCount", "createdCount", "updatedCount", "chunkCount")
_MOMENTS = ("scheduledAt", "startedAt", "completedAt", "updatedAt")


def presented(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action document as the API shows it, the documented fields first."""
    shown = listed(action)
    del shown["error"]
    shown["ignoredColumns"] = action.get("ignoredColumns")
    # What became of the columns, where the upload said so: each with its field, or null.
    fields = action.get("fields")
    shown["mapping"] = (
        None if fields is None else {c: f or None for c, f in zip(action["columns"], fields, strict=True)}
    )
    shown["error"] = action.get("error")
    return shown


def listed(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action document as a list shows it: without its columns, of which it may have hundreds."""
    shown: dict[str, Any] = {
        "actionId": action["_id"],
        "actionType": action["actionType"],
        "entityType": action["entityType"],
        "status": action["status"],
    }
    shown.update((name, action.get(name, 0)) for name in _COUNTS)
    shown["createdAt"] = iso(action["createdAt"])
    shown.update((name, action.get(name, 0)) for name in _DETAIL_COUNTS)
    shown.update((name, iso(action.get(name))) for name in _MOMENTS)
    for name in ("fileName", "fileSize", "sha256"):
        shown[name] = action.get(name)
    shown["error"] = action.get("error")
    return shown


def accepted(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of an action when it was just made, with what was understood of the upload.

    It is as it was when it was made, however far it has come since.
    """
    scheduled = iso(action["scheduledAt"])
    when = "queued for processing" if scheduled is None else f"scheduled for {scheduled}"
    return {
        "actionId": action["_id"],
        "status": Status.QUEUED if scheduled is None else Status.SCHEDULED,
        "message": f"Success! Your bulk action has been {when}.",
        "totalCount": action["totalCount"],
        "scheduledAt": scheduled,
        "delimiter": action["delimiter"],
        "ignoredColumns": action["ignoredColumns"],
    }


def _seconds_left(action: Mapping[str, Any], rows: int, mean: float, now: datetime) -> float | None:
    recent = action.get("recentRate")
    rate = mean if recent is None else rate_at(recent, action["recentRateAt"], now.timestamp())
    # Rounded up from nothing, a rate would make a number that says nothing.
    return rows / rate if rate > _SLOWEST else None


def statistics(action: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the counters of an action with its speed and the time it still needs.

    ``rowsPerSecond`` is the mean since the start. ``etaSeconds`` follows the recent speed where the live counters have
    it, else that mean; it is ``None`` while it cannot be told and 0 once the action has ended.
    """
    processed, total = action.get("processedCount", 0), action.get("totalCount", 0)
    ended = action["status"] in ENDED
    started = action.get("startedAt")
    rate = 0.0
    if started is not None:
        until = action.get("completedAt") or now
        rate = processed / max((until - started).total_seconds(), 0.001)
    eta = 0.0 if ended else _seconds_left(action, total - processed, rate, now)
    shown: dict[str, Any] = {"actionId": action["_id"], "status": action["status"]}
    shown.update((name, action.get(name, 0)) for name in _COUNTS)
    shown["pendingCount"] = total - processed
    shown.update((name, action.get(name, 0)) for name in _DETAIL_COUNTS)
    shown["rowsPerSecond"] = round(rate, 1)
    shown["etaSeconds"] = None if eta is None else round(eta, 1)
    shown["updatedAt"] = iso(action.get("updatedAt"))
    return shown
