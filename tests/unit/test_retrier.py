"""The retry topics: a message waits until it is due and can be done, and goes back where it came from."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents import retrier
from agents.retrier import redeliver
from app.domain.dead_letters import Origin
from app.domain.faults import PermanentFault
from app.kafka.retry_headers import RetryHeaders
from app.kafka.topic_reader import Event
from tests.support.fakes import FakeDependencies, RecordingTopics, Sent, event

RETRY = "bulk.retry.2"
START = 1_800_000_000.0


class Clock:
    """A clock that only sleeping moves, with what happens at a time."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds == seconds
        if seconds > 0:
            self.slept.append(seconds)
            self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retrier, "time", clock)
    monkeypatch.setattr(retrier, "asyncio", clock)
    return clock


@pytest.fixture
def topics() -> RecordingTopics:
    return RecordingTopics()


def context(topics: RecordingTopics, dependencies: FakeDependencies | None = None) -> Any:
    settings = SimpleNamespace(retry_delays=(15.0, 30.0, 60.0))
    return SimpleNamespace(topics=topics, settings=settings, dependencies=dependencies or FakeDependencies())


def history(due: float, origin: str = "bulk") -> RetryHeaders:
    return RetryHeaders(Origin(origin, 3, 14), 2, "2026-01-31T09:00:00.000+00:00", "it failed", due)


def waiting(due: float, origin: str = "bulk") -> Event:
    return event(b"payload", topic=RETRY, headers=history(due, origin).to_headers())


def same(due: float, origin: str = "bulk") -> Sent:
    """The message of ``waiting``, with its history as it was."""
    return Sent(b"key", b"payload", history(due, origin).to_headers())


@pytest.mark.parametrize("origin", ["bulk", "bulk.feed", "bulk.results"])
async def test_message_returns_to_its_origin(clock: Clock, topics: RecordingTopics, origin: str) -> None:
    """A message goes back to its topic of origin with its history."""
    await redeliver(waiting(START + 1, origin), context(topics))
    assert topics.taken == {origin: [same(START + 1, origin)]}


@pytest.mark.parametrize("delay", [0.001, 0.1, 0.2, 7.3, 60.0])
async def test_message_waits_until_due(clock: Clock, topics: RecordingTopics, delay: float) -> None:
    """A message waits until it is due, and no longer."""
    await redeliver(waiting(START + delay), context(topics))
    assert clock.now == pytest.approx(START + delay, abs=1e-3)
    assert clock.now >= START + delay - 1e-6
    assert topics.taken == {"bulk": [same(START + delay)]}


@pytest.mark.parametrize("due", [0.0, START - 3600, START])
async def test_due_message_does_not_wait(clock: Clock, topics: RecordingTopics, due: float) -> None:
    """A message that is due does not wait."""
    await redeliver(waiting(due), context(topics))
    assert clock.slept == []
    assert topics.taken == {"bulk": [same(due)]}


@pytest.mark.parametrize("due", [START + 61, START + 3600, 1e308])
async def test_wait_has_an_upper_limit(clock: Clock, topics: RecordingTopics, due: float) -> None:
    """Nothing waits longer than the longest delay.

    Anybody can write a header, and what waits holds up what is behind it.
    """
    await redeliver(waiting(due), context(topics))
    assert clock.now == START + 60


async def test_due_message_waits_for_services(clock: Clock, topics: RecordingTopics) -> None:
    """What is due waits until everything answers."""

    class Back(FakeDependencies):
        async def unavailable(self, *, since: float = 0.0) -> list[str]:
            return ["MongoDB"] if clock.now < START + 240 else []

    await redeliver(waiting(START + 2), context(topics, Back()))
    assert START + 240 <= clock.now <= START + 241
    assert topics.taken == {"bulk": [same(START + 2)]}


async def test_absent_broker_is_retried(clock: Clock, topics: RecordingTopics) -> None:
    """A broker that is away is a fault, so that the message is tried again."""
    topics.chunks.faults.append(TimeoutError())
    message = waiting(START)
    with pytest.raises(TimeoutError):
        await redeliver(message, context(topics))
    await redeliver(message, context(topics))
    assert topics.taken == {"bulk": [same(START)]}


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"retry-count": b"1"},
        history(START, "not.ours").to_headers(),
        *({**history(START).to_headers(), "due": due} for due in (b"nan", b"inf", b"-inf", b"tomorrow", b"1e999")),
    ],
)
async def test_missing_history_is_permanent(clock: Clock, topics: RecordingTopics, headers: Any) -> None:
    """A message without a readable history is a permanent fault, and goes nowhere."""
    with pytest.raises(PermanentFault):
        await redeliver(event(topic=RETRY, headers=headers), context(topics))
    assert topics.taken == {}


async def test_stopped_message_goes_nowhere(topics: RecordingTopics) -> None:
    """A message that is stopped while it waits goes nowhere."""
    task = asyncio.create_task(redeliver(waiting(4e9), context(topics)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert topics.taken == {}
