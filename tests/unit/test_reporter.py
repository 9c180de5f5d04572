"""The reporter: what is new is written, at most so often; what is not is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.adapters import progress_reporter as reporter
from app.adapters.progress_reporter import Reporter
from app.domain.live_counters import LiveCounters
from app.domain.outcomes import Counts
from app.domain.speed import Rate


class Sink:
    """Both the actions and the snapshots."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Counts]] = []
        self.published: list[LiveCounters] = []

    async def record_progress(self, action_id: str, counts: Counts) -> None:
        self.written.append((action_id, counts))

    async def publish(self, action_id: str, counters: LiveCounters) -> None:
        self.published.append(counters)


def make(sink: Sink, interval: float = 0.0) -> Reporter:
    return Reporter(cast(Any, sink), cast(Any, sink), interval=interval)


async def test_old_counters_are_not_written() -> None:
    """Counters that are not new are not written.

    Results that are told again must not make an action look as if it moved.
    """
    sink = Sink()
    reporter = make(sink)
    for success in (1, 1, 2):
        reporter.note("a", Counts(success=success))
        await reporter.flush()
    assert sink.written == [("a", Counts(success=1)), ("a", Counts(success=2))]


async def test_counters_wait_for_their_turn() -> None:
    """Within the interval the newest are kept, not written."""
    sink = Sink()
    reporter = make(sink, interval=3600)
    for success in (1, 2):
        reporter.note("a", Counts(success=success))
        await reporter.flush()
    assert sink.written == [("a", Counts(success=1))]


async def test_departed_actions_are_forgotten(monkeypatch: Any) -> None:
    """Actions that went elsewhere are forgotten. Only so many are remembered."""
    monkeypatch.setattr(reporter, "_REMEMBERED", 2)
    sink = Sink()
    made = make(sink)
    for name in "abcab":
        made.note(name, Counts(success=1))
        await made.flush()
    assert len(made._written) == 2


async def test_live_counters_have_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live counters have the recent speed.

    The mean since the start says nothing of a database that has just become slow.
    """
    sink, now = Sink(), 1000.0
    made = make(sink)
    monkeypatch.setattr(reporter.time, "time", lambda: now)
    for seconds, rows in ((0, 0), (1, 1000), (2, 2000)):
        now = 1000.0 + seconds
        made.note("a", Counts(success=rows, updated=rows))
        await made.flush()
    assert sink.published[0].rate is None
    assert sink.published[-1].rate == Rate(pytest.approx(1000), 1002.0)
    made.forget("a")
    assert made._speeds == {}
