"""The time that an action still needs follows how fast it is now, not how fast it was at first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.speed import Rate, Speed
from tests.support.factories import make_action
from web.representations import statistics_to_response

STARTED = datetime(2026, 11, 25, tzinfo=UTC)


def run(*stretches: tuple[float, float], every: float = 0.5) -> Speed:
    """Observe a count that grows at these rates, each for so many seconds."""
    count, at = 0.0, STARTED.timestamp()
    speed = Speed(0, at)
    for rate, seconds in stretches:
        for _ in range(round(seconds / every)):
            count, at = count + rate * every, at + every
            speed = speed.observe(round(count), at)
    return speed


@pytest.mark.parametrize("every", [0.5, 3.0])
def test_a_steady_speed_is_what_it_is(every: float) -> None:
    assert run((1000, 60), every=every).rate == pytest.approx(1000)


def test_what_is_long_past_does_not_count() -> None:
    assert run((20_000, 60), (100, 90)).rate == pytest.approx(100, rel=0.6)
    assert run((100, 60), (20_000, 90)).rate == pytest.approx(20_000, rel=0.01)


def test_simultaneous_chunks_count_once() -> None:
    """Chunks that end together are one observation."""
    speed = Speed(0, 0.0).observe(1000, 1.0)
    assert speed.observe(2000, 1.001) is speed
    assert Speed(0, 0.0).observe(1000, 0.0).rate is None


def test_falling_count_begins_anew() -> None:
    """A count that goes back begins anew."""
    assert Speed(500, 10.0, 50.0).observe(400, 11.0) == Speed(400, 11.0)


def told(speed: Speed, now: datetime, **action: Any) -> float | None:
    fields = {"status": "PROCESSING", "startedAt": STARTED, "totalCount": 1_300_000, "successCount": speed.count}
    rate = None if speed.rate is None else Rate(speed.rate, speed.at)
    eta: float | None = statistics_to_response(make_action(**{**fields, **action}), rate, now)["etaSeconds"]
    return eta


def test_eta_follows_the_recent_speed() -> None:
    """A database that became slow: the mean since the start would promise the end in some seconds."""
    speed = run((20_000, 60), (100, 90))
    now = datetime.fromtimestamp(speed.at, UTC)
    left = 1_300_000 - speed.count
    assert told(speed, now) == pytest.approx(left / 100, rel=0.6)
    assert told(Speed(speed.count, speed.at), now) == pytest.approx(left / (speed.count / 150), rel=0.01)


def test_eta_grows_while_nothing_moves() -> None:
    speed = run((1000, 60))
    now = datetime.fromtimestamp(speed.at, UTC)
    first, later = told(speed, now), told(speed, now + timedelta(seconds=30))
    assert first is not None
    assert later is not None
    assert later > 5 * first


def test_ended_action_needs_no_time() -> None:
    """An action that has ended needs no time."""
    assert told(run((1000, 60)), STARTED + timedelta(seconds=60), status="COMPLETED") == 0
