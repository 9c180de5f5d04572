"""When a consumer counts as stuck, and what excuses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.consumption import Consumption, StuckRule

WAITING = Consumption(waiting={"chunks:0": 3, "chunks:1": 0}, done={"chunks:0": 7, "chunks:1": None}, steps=40)


def looks(*seen: Consumption, patience: float = 10, interval: float = 5) -> StuckRule:
    """Look at these, one every five seconds."""
    rule = StuckRule(patience, longest_gap=interval + 5)
    for number, one in enumerate(seen):
        rule.look(one, 100 + number * interval)
    return rule


def test_nothing_moves_for_too_long() -> None:
    rule = looks(WAITING, WAITING)
    assert (rule.stuck, rule.seconds_still) == (False, 5)
    rule.look(WAITING, 110)
    assert (rule.stuck, rule.seconds_still) == (True, 10)


@pytest.mark.parametrize(
    "between",
    [
        replace(WAITING, done={"chunks:0": 8, "chunks:1": None}),
        replace(WAITING, steps=41),
        replace(WAITING, waiting={"chunks:0": 0}),
        replace(WAITING, waiting={}, done={}),
        replace(WAITING, excuse="partitions change hands"),
        Consumption(steps=40, excuse="tables are recovered"),
    ],
    ids=["a partition", "a step of a handler", "nothing waits", "no partitions", "a rebalance", "a recovery"],
)
def test_anything_begins_the_time_anew(between: Consumption) -> None:
    """Progress, nothing to do, and whatever a restart would not help against."""
    rule = looks(WAITING, WAITING, between, WAITING)
    assert not rule.stuck
    assert rule.seconds_still <= 5


def test_silent_consumer_is_stuck() -> None:
    """One that does not say where it is, although what it depends on answers, does not move either."""
    assert looks(WAITING, *[Consumption(steps=40)] * 3).stuck


def test_one_silence_is_no_progress() -> None:
    assert looks(WAITING, Consumption(steps=40), WAITING).stuck


def test_own_standstill_is_not_counted() -> None:
    """A process that was stopped for an hour does not blame its consumer for it."""
    rule = looks(WAITING, WAITING)
    rule.look(WAITING, 3600)
    assert not rule.stuck


def test_progress_ends_it() -> None:
    rule = looks(*[WAITING] * 4)
    assert rule.stuck
    rule.look(replace(WAITING, steps=41), 120)
    assert not rule.stuck


def test_no_patience_means_never() -> None:
    assert not looks(*[WAITING] * 100, patience=0).stuck
