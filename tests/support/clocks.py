"""Times of tests: a clock that goes when a test moves it, and timestamps of the past."""

from __future__ import annotations

from datetime import UTC, datetime

#: When everything that waits is due.
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
#: A time that is past, to the millisecond, which is what the database keeps.
PAST = datetime(2020, 1, 31, 9, 0, 0, 123_000, tzinfo=UTC)


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
