"""Times of tests: a clock that goes when a test moves it, and timestamps of the past."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

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


class _SkippingSelector(selectors.DefaultSelector):
    """Where nothing is ready, the time until the next timer is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            return super().select(None)
        # What a socket of this very process was sent is there within no time at all.
        if not (ready := super().select(min(timeout, 0.005))):
            self.now += max(0.0, timeout)
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: its clock stands still, or goes on to the next timer."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def without_waiting(test: Callable[..., Awaitable[T]]) -> Callable[..., T]:
    """Run a test of coroutines in a loop of its own in which waiting takes no time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> T:
        with asyncio.Runner(loop_factory=SkippingLoop) as runner:
            return runner.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run
