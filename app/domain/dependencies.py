"""What is known of a thing that a worker depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DependencyState:
    """What is known of a dependency.

    Attributes:
        name: as the log calls it.
        ok: whether it could be used when it was last asked.
        since: since when that has been so, as far as this process knows.
        latency: seconds that it took to answer, or to fail, when it was last asked.
        last_error: the last thing that was wrong with it, in words that may be said outside; it stays.
        last_error_at: when that was.
    """

    name: str
    ok: bool
    since: datetime
    latency: float
    last_error: str | None = None
    last_error_at: datetime | None = None
