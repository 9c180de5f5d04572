"""The guard: whatever a handler raises, its event ends in exactly one place, and neither agent nor timer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import stamina
from aiokafka.errors import KafkaConnectionError
from pymongo.errors import AutoReconnect
from redis.exceptions import ConnectionError as RedisConnectionError

from agents import guard
from agents.faults import PermanentFault
from agents.guard import add_agent, add_loop, add_raw_agent, add_timer
from app.domain.public_faults import public_text
from app.headers import Handover, Origin
from app.messages import Feed
from tests.fakes import FakeEvent, RecordingTopics, event, read_again

DELAYS = (15.0, 30.0, 60.0)
FEED = Feed(action_id="0" * 24, first=7)
TRANSIENT = [TimeoutError("slow"), ConnectionResetError(), AutoReconnect("away"), RedisConnectionError(), OSError(28)]
TRANSIENT += [KafkaConnectionError(), ExceptionGroup("many", [TimeoutError(), AutoReconnect()])]
PERMANENT = [PermanentFault("wrong"), ValueError("odd"), KeyError("k"), AssertionError(), RecursionError()]
PERMANENT += [ExceptionGroup("many", [TimeoutError(), ValueError()])]


class App:
    """What the guard asks of Faust: agents and timers, kept by name."""

    def __init__(self) -> None:
        self.agents: dict[str, tuple[Any, int, Callable[[Any], Awaitable[None]]]] = {}
        self.timers: dict[str, tuple[float, bool, Callable[[], Awaitable[None]]]] = {}
        self.topics = RecordingTopics()
        self.platform = SimpleNamespace(
            topics=self.topics, settings=SimpleNamespace(retry_moment=10.0, retry_delays=DELAYS)
        )

    def agent(self, topic: Any, *, name: str, concurrency: int) -> Callable[[Any], None]:
        def keep(function: Any) -> None:
            self.agents[name] = (topic, concurrency, function)

        return keep

    def timer(self, interval: float, *, on_leader: bool) -> Callable[[Any], None]:
        def keep(function: Any) -> None:
            self.timers[function.__name__] = (interval, on_leader, function)

        return keep

    async def run(self, *events: FakeEvent) -> int:
        """Let the only agent consume events; how many it has acknowledged."""
        [(_, _, consume)] = self.agents.values()
        done = 0

        async def stream() -> AsyncIterator[FakeEvent]:
            nonlocal done
            for one in events:
                yield one
                done += 1

        await consume(SimpleNamespace(events=stream))
        return done


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A moment of retries on the spot is three attempts; a pause is a turn of the event loop."""
    monkeypatch.setattr(guard, "_HANDOVER_PAUSE", 0)
    with stamina.set_testing(True, attempts=3):
        yield


def handler(*outcomes: Exception | None) -> Callable[[Any, Any], Awaitable[None]]:
    """A handler that raises these one after another, then the last of them for ever; ``handler.seen`` is its input."""
    left = list(outcomes)
    seen: list[Any] = []

    async def handle(message: Any, platform: Any) -> None:
        seen.append(message)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if outcome is not None:
            raise outcome

    handle.seen = seen  # type: ignore[attr-defined]
    return handle


def feed_event(**changes: Any) -> FakeEvent:
    return event(FEED.encode(), topic="bulk.feed", **changes)


def history(app: App, channel: str) -> list[Handover]:
    found = [Handover.read(sent.headers) for sent in app.topics.taken.get(channel, [])]
    assert None not in found
    return [one for one in found if one is not None]


# Agents


async def test_what_a_handler_can_do_is_done_once_and_goes_nowhere(app: App) -> None:
    handle = handler(None)
    add_agent(app, app.topics.feed, Feed, handle, concurrency=5)
    assert app.agents["handle"][:2] == (app.topics.feed.topic, 5)
    assert await app.run(feed_event(), feed_event()) == 2
    assert handle.seen == [FEED, FEED]
    assert app.topics.taken == {}


async def test_a_fault_that_passes_in_a_moment_is_tried_again_on_the_spot(app: App) -> None:
    handle = handler(TimeoutError(), AutoReconnect(), None)
    add_agent(app, app.topics.feed, Feed, handle)
    assert await app.run(feed_event()) == 1
    assert handle.seen == [FEED] * 3
    assert app.topics.taken == {}


@pytest.mark.parametrize("fault", PERMANENT, ids=repr)
async def test_a_permanent_fault_goes_to_the_dead_letters_once_without_another_try(app: App, fault: Exception) -> None:
    handle = handler(fault, None)
    add_agent(app, app.topics.feed, Feed, handle)
    sent = feed_event()
    assert await app.run(sent, feed_event()) == 2
    assert len(handle.seen) == 2
    assert list(app.topics.taken) == ["bulk.DLQ"]
    [dead] = app.topics.dead.sent
    assert (dead.key, dead.value) == (sent.message.key, sent.message.value)
    [told] = history(app, "bulk.DLQ")
    assert (told.origin, told.retry_count) == (Origin("bulk.feed", 3, 14), 1)
    assert told.error == public_text(fault)


@pytest.mark.parametrize("fault", TRANSIENT, ids=repr)
async def test_a_fault_that_does_not_pass_in_a_moment_goes_through_the_tiers_and_then_to_the_dead_letters(
    app: App, fault: Exception
) -> None:
    handle = handler(fault)
    add_agent(app, app.topics.feed, Feed, handle)
    message, way, first = feed_event(), [], None
    for tries, delay in enumerate((*DELAYS, None), 1):
        before = datetime.now(UTC).timestamp()
        await app.run(message)
        after = datetime.now(UTC).timestamp()
        [(name, [sent])] = app.topics.taken.items()
        way.append(name)
        [told] = history(app, name)
        first = first or told.first_failure
        assert (told.origin, told.retry_count, told.first_failure) == (Origin("bulk.feed", 3, 14), tries, first)
        assert (sent.key, sent.value) == (message.message.key, message.message.value)
        if delay is not None:
            assert before + delay - 0.01 <= told.due <= after + delay + 0.01
        app.topics.named(name).sent.clear()  # type: ignore[union-attr]
        message = read_again(sent, topic="bulk.feed")
    assert way == ["bulk.retry.1", "bulk.retry.2", "bulk.retry.3", "bulk.DLQ"]
    assert len(handle.seen) == 4 * 3


@pytest.mark.parametrize("kind", [AutoReconnect, ValueError, PermanentFault])
async def test_dead_letters_keep_the_text_inside(app: App, kind: type[Exception]) -> None:
    """What a viewer may read later is a fixed text, whatever the fault says of hosts and commands."""
    add_agent(app, app.topics.feed, Feed, handler(kind("mongo-0.internal:27017 is away")))
    message = feed_event()
    for _ in range(4):
        await app.run(message)
        for channel in app.topics.all:
            for sent in channel.sent:
                assert b"internal:" not in sent.headers["error-message"]
                message = read_again(sent, topic="bulk.feed")
            channel.sent.clear()


async def test_a_message_that_is_given_back_and_works_is_done(app: App) -> None:
    handle = handler(TimeoutError(), TimeoutError(), TimeoutError(), None)
    add_agent(app, app.topics.feed, Feed, handle)
    await app.run(feed_event())
    [sent] = app.topics.retries[0].sent
    await app.run(read_again(sent, topic="bulk.feed"))
    assert handle.seen == [FEED] * 4
    assert app.topics.taken == {"bulk.retry.1": [sent]}


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{}", b'{"actionId": "7"}'])
async def test_what_cannot_be_read_goes_to_the_poison_as_it_is_and_no_handler_sees_it(
    app: App, value: bytes | None
) -> None:
    handle = handler(None)
    add_agent(app, app.topics.feed, Feed, handle)
    assert await app.run(event(value, topic="bulk.feed"), feed_event()) == 2
    assert handle.seen == [FEED]
    assert list(app.topics.taken) == ["bulk.POISON"]
    [poison] = app.topics.poison.sent
    assert (poison.key, poison.value) == (b"key", value)
    [told] = history(app, "bulk.POISON")
    assert (told.origin, told.retry_count) == (Origin("bulk.feed", 3, 14), 0)
    assert told.error


@pytest.mark.parametrize("headers", [{"retry-count": b"x"}, [("origin-topic", b"\xff")], [("retry-count", None)]])
async def test_a_history_that_cannot_be_read_begins_anew(app: App, headers: Any) -> None:
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault("wrong")))
    assert await app.run(feed_event(headers=headers)) == 1
    [told] = history(app, "bulk.DLQ")
    assert (told.origin, told.retry_count) == (Origin("bulk.feed", 3, 14), 1)


@pytest.mark.parametrize("count", ["-1", "-2", "-100", "1000000"])
async def test_a_history_with_a_count_that_cannot_be_loses_no_message(app: App, count: str) -> None:
    headers = {**Handover.after(feed_event(), "before").to_headers(), "retry-count": count.encode()}
    add_agent(app, app.topics.feed, Feed, handler(TimeoutError()))
    assert await app.run(feed_event(headers=headers)) == 1
    assert sum(len(sent) for sent in app.topics.taken.values()) == 1


async def test_an_error_that_cannot_be_written_as_utf_8_loses_no_message(app: App) -> None:
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault("M\udcfcller")))
    assert await app.run(feed_event()) == 1
    assert list(app.topics.taken) == ["bulk.DLQ"]


@pytest.mark.parametrize("refusal", [TimeoutError(), KafkaConnectionError(), ValueError("whatever")], ids=repr)
@pytest.mark.parametrize(
    ("value", "fault", "where"),
    [(b"\xff", None, "poison"), (FEED.encode(), PermanentFault(), "dead"), (FEED.encode(), TimeoutError(), "retry")],
)
async def test_a_hand_over_is_repeated_until_the_broker_takes_it(
    app: App, refusal: Exception, value: bytes, fault: Exception | None, where: str
) -> None:
    channel = app.topics.retries[0] if where == "retry" else getattr(app.topics, where)
    channel.faults += [refusal] * 20
    handle = handler(fault)
    add_agent(app, app.topics.feed, Feed, handle)
    assert await app.run(event(value, topic="bulk.feed")) == 1
    assert channel.faults == []
    assert {name: len(sent) for name, sent in app.topics.taken.items()} == {channel.name: 1}


async def test_an_event_counts_as_done_only_when_the_broker_has_its_hand_over(app: App) -> None:
    gate = asyncio.Event()
    asked = asyncio.Event()
    send = app.topics.dead.send_raw

    async def held(*args: Any, **options: Any) -> None:
        asked.set()
        await gate.wait()
        await send(*args, **options)

    app.topics.dead.send_raw = held  # type: ignore[method-assign]
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault()))
    running = asyncio.create_task(app.run(feed_event()))
    await asked.wait()
    assert not running.done()
    gate.set()
    assert await running == 1


async def test_a_worker_that_stops_hands_nothing_over(app: App) -> None:
    begun = asyncio.Event()

    async def handle(message: Feed, platform: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    add_agent(app, app.topics.feed, Feed, handle)
    running = asyncio.create_task(app.run(feed_event()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert app.topics.taken == {}


# Agents of the last resort


async def test_a_raw_agent_gets_the_event_as_it_is_and_tries_until_it_works(app: App) -> None:
    handle = handler(*TRANSIENT, *TRANSIENT, None)
    add_raw_agent(app, app.topics.dead, handle)
    assert app.agents["handle-DLQ"][:2] == (app.topics.dead.topic, 1)
    one = event(b"\xff", topic="bulk.DLQ")
    assert await app.run(one) == 1
    assert handle.seen == [one] * (2 * len(TRANSIENT) + 1)
    assert app.topics.taken == {}


@pytest.mark.parametrize("fault", PERMANENT, ids=repr)
async def test_a_raw_agent_goes_on_after_an_event_that_can_never_be_handled(app: App, fault: Exception) -> None:
    handle = handler(fault, None)
    add_raw_agent(app, app.topics.dead, handle)
    assert await app.run(event(b"1"), event(b"2")) == 2
    assert [one.value for one in handle.seen] == [b"1", b"2"]


# Timers


@pytest.mark.parametrize("fault", [*TRANSIENT, *PERMANENT, None], ids=repr)
@pytest.mark.parametrize("on_leader", [True, False])
async def test_a_timer_whose_body_raises_does_not_raise_and_has_its_next_turn(
    app: App, fault: Exception | None, on_leader: bool
) -> None:
    handle, platforms = handler(fault), []

    async def body(platform: Any) -> None:
        platforms.append(platform)
        await handle(None, platform)

    add_timer(app, 0.7, body, on_leader=on_leader)
    interval, leader, tick = app.timers["body"]
    assert (interval, leader) == (0.7, on_leader)
    await tick()
    await tick()
    assert platforms == [app.platform] * 2


async def test_a_loop_whose_body_raises_goes_on_until_the_worker_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    class Looping:
        platform = object()
        should_stop = False

        def task(self, function: Any) -> None:
            self.function = function

        async def sleep(self, seconds: float) -> None:
            assert seconds == 0.3

    app = Looping()

    async def body(platform: Any) -> None:
        nonlocal turns
        turns += 1
        app.should_stop = turns == 3
        raise [ConnectionError("away"), ValueError("wrong"), TimeoutError()][turns - 1]

    add_loop(app, 0.3, body)
    await app.function()
    assert turns == 3


async def test_a_timer_that_is_cancelled_ends(app: App) -> None:
    async def body(platform: Any) -> None:
        raise asyncio.CancelledError

    add_timer(app, 1, body)
    with pytest.raises(asyncio.CancelledError):
        await app.timers["body"][2]()
