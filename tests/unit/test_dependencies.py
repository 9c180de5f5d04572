"""Does everything answer: one round of questions for all who ask, each question with an end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.observability import dependencies
from app.observability.dependencies import Dependencies, unavailable
from tests.support.clocks import ManualClock


class Service:
    """Something that is there, away, or silent; and how often it was asked."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.silent = False
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_what_answers_is_not_named(clock: ManualClock) -> None:
    there, away = Service(), Service()
    away.fault = ConnectionRefusedError("nobody listens")
    both = Dependencies({"Redis": there.probe, "MongoDB": away.probe}, clock=clock)
    assert await unavailable(SimpleNamespace(dependencies=both)) == ["MongoDB"]


async def test_what_stays_silent_is_away(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "_TIMEOUT", 0.01)
    silent = Service()
    silent.silent = True
    assert await Dependencies({"Redis": silent.probe}, clock=clock).unavailable() == ["Redis"]


async def test_a_crowd_asks_once_a_second(clock: ManualClock) -> None:
    service = Service()
    one = Dependencies({"Redis": service.probe}, clock=clock)
    await asyncio.gather(*(one.unavailable() for _ in range(50)))
    clock.now += 0.9
    await one.unavailable()
    assert service.asked == 1
    clock.now += 0.2
    await one.unavailable()
    assert service.asked == 2


async def test_an_answer_can_be_asked_for_anew(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer from before a failure says nothing about it; even then nobody is asked twice in a second."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(dependencies, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    service = Service()
    one = Dependencies({"Redis": service.probe}, clock=clock)
    assert await one.unavailable() == []
    clock.now += 0.4
    service.fault = OSError()
    assert await one.unavailable() == []
    assert await one.unavailable(since=clock.now) == ["Redis"]
    assert slept == [pytest.approx(0.6)]


async def test_short_outage_is_remembered(clock: ManualClock) -> None:
    """An outage in between is remembered."""
    service = Service()
    one = Dependencies({"Redis": service.probe}, clock=clock)
    began = one.now()
    clock.now += 5
    service.fault = OSError()
    assert not await one.all_answered(began)
    clock.now += 5
    service.fault = None
    assert not await one.all_answered(began)
    assert await one.all_answered(clock.now)
