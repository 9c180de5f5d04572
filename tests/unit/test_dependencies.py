"""Does everything answer: one round of questions for all who ask, each question with an end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.domain.faults import Dependency, PassingFault
from app.observability import dependencies
from app.observability.dependencies import Dependencies, unavailable
from tests.support.clocks import ManualClock


class Service:
    """Something that is there, away, or silent; and how often it was asked."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.silent = False
        #: Ends the silence.
        self.answer = asyncio.Event()
        self.asked = 0
        self.takes = 0.0
        self.clock = ManualClock()

    async def probe(self) -> None:
        self.asked += 1
        self.clock.now += self.takes
        if self.silent:
            await self.answer.wait()
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


async def test_asking_as_a_round_ends(clock: ManualClock) -> None:
    """Who asks at the moment at which a round has ended begins another one, and holds nobody up."""
    service = Service()
    service.silent = True
    one = Dependencies({"Redis": service.probe}, clock=clock)
    first = asyncio.create_task(one.unavailable())
    while not service.asked:
        await asyncio.sleep(0)
    running = one._round
    assert running is not None
    clock.now += 5
    service.answer.set()
    while not running.done():
        await asyncio.sleep(0)
    assert await one.unavailable(since=clock.now) == []
    assert await first == []
    assert service.asked == 2


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


async def test_one_that_hangs_costs_one_round(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while it is asked waits for the end of that, and not for a round of his own."""
    monkeypatch.setattr(dependencies, "_TIMEOUT", 0.05)
    service = Service()
    service.silent = True
    one = Dependencies({"Redis": service.probe}, clock=clock)
    crowd = [asyncio.create_task(one.unavailable()) for _ in range(50)]
    await asyncio.sleep(0)
    clock.now += 5
    assert await asyncio.gather(*crowd) == [["Redis"]] * 50
    assert service.asked == 1


async def test_round_outlives_who_began_it(clock: ManualClock) -> None:
    """A client that hangs up takes nothing from those who wait with it."""
    service = Service()
    service.silent = True
    one = Dependencies({"Redis": service.probe}, clock=clock)
    first, second = (asyncio.create_task(one.unavailable()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    service.answer.set()
    assert await second == []
    assert service.asked == 1


async def test_closing_ends_the_round(clock: ManualClock) -> None:
    service = Service()
    service.silent = True
    one = Dependencies({"Redis": service.probe}, clock=clock)
    asked = asyncio.create_task(one.unavailable())
    await asyncio.sleep(0)
    await one.close()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_state_tells_latency_and_error(clock: ManualClock) -> None:
    """The last error stays when it is over, and says nothing of the place."""
    service = Service()
    service.clock, service.takes = clock, 0.25
    one = Dependencies({"the storage": service.probe}, clock=clock)
    [well] = await one.states()
    assert (well.name, well.ok, well.latency, well.last_error, well.last_error_at) == (
        "the storage",
        True,
        0.25,
        None,
        None,
    )
    clock.now += 5
    service.fault = PermissionError(13, "denied", "/srv/uploads")
    [away] = await one.states()
    assert (away.ok, away.last_error) == (False, "The storage could not be used: PermissionError.")
    assert away.since == away.last_error_at
    clock.now += 5
    [still] = await one.states()
    assert still.since == away.since
    assert still.last_error_at is not None and away.last_error_at is not None
    assert still.last_error_at >= away.last_error_at
    clock.now += 5
    service.fault = None
    [back] = await one.states()
    assert (back.ok, back.last_error, back.last_error_at) == (True, still.last_error, still.last_error_at)
    assert back.since >= still.last_error_at


async def test_error_is_told_by_the_driver(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a fault the kind that its driver gives it; of silence, that it was silence."""
    monkeypatch.setattr(dependencies, "_TIMEOUT", 0.01)
    broken, silent = Service(), Service()
    broken.fault = PassingFault("db-0.internal", Dependency.DATABASE)
    broken.fault.__cause__ = ConnectionResetError("db-0.internal")
    silent.silent = True
    both = Dependencies({"MongoDB": broken.probe, "Kafka": silent.probe}, clock=clock)
    assert [state.last_error for state in await both.states()] == [
        "MongoDB could not be used: ConnectionResetError.",
        "Kafka did not answer in time.",
    ]
