"""The guard: whatever a handler raises, its event ends in exactly one place, and neither agent nor timer ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import stamina

from agents import guard
from agents.guard import add_agent, add_loop, add_timer, add_waiting_topics, log_retries
from app.domain.dead_letters import DeadLetter, Origin
from app.domain.faults import Dependency, PassingFault, PermanentFault
from app.domain.public_faults import public_text
from app.kafka.messages import ByteRange, Chunk, ChunkResult, Feed, Source
from app.kafka.retry_headers import RetryHeaders
from app.kafka.topic_reader import Event
from app.kafka.topics import TooLarge
from app.observability.metrics import RETRIES
from tests.support.fakes import FakeDependencies, RecordingTopics, event, read_again

DELAYS = (15.0, 30.0, 60.0)
FEED = Feed(action_id="0" * 24, first=7)
#: The database is away, and does not say so itself.
AWAY = PassingFault("mongo-0.internal:27017", Dependency.DATABASE)
#: The broker, and Redis, say themselves that they are away.
NO_LEADER = PassingFault("no leader", Dependency.BROKER, away=True)
FULL = PassingFault("OOM", Dependency.CACHE, away=True)
TRANSIENT = [TimeoutError("slow"), ConnectionResetError(), AWAY, OSError(28)]
TRANSIENT += [ExceptionGroup("many", [TimeoutError(), AWAY])]
PERMANENT = [PermanentFault("wrong"), ValueError("odd"), KeyError("k"), AssertionError(), RecursionError()]
PERMANENT += [ExceptionGroup("many", [TimeoutError(), ValueError()])]


class App:
    """What the guard asks of Faust: agents and timers, kept by name."""

    def __init__(self) -> None:
        self.agents: dict[str, tuple[Any, int, Callable[[Any], Awaitable[None]]]] = {}
        self.timers: dict[str, tuple[float, bool, Callable[[], Awaitable[None]]]] = {}
        self.topics = RecordingTopics()
        self.tasks: list[Callable[[], Awaitable[None]]] = []
        self.dependencies = FakeDependencies()
        self.should_stop = False
        self.letters: list[DeadLetter] = []
        self.context = SimpleNamespace(
            topics=self.topics,
            settings=SimpleNamespace(
                retry_inline_seconds=10.0,
                retry_delays=DELAYS,
                brokers=[],
                kafka_topic="bulk",
                broker_session_timeout=8.0,
            ),
            dependencies=self.dependencies,
            store=SimpleNamespace(
                dead_letters=SimpleNamespace(put=self.put, put_of_nobody=self.put_of_nobody),
                actions=SimpleNamespace(find=self.no_action),
                erased_actions=SimpleNamespace(knows=self.no_action),
            ),
        )

    async def put(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def put_of_nobody(self, letter: DeadLetter, most: int) -> bool:
        self.letters.append(letter)
        return True

    async def no_action(self, action_id: str) -> None:
        return None

    def task(self, function: Callable[[], Awaitable[None]]) -> None:
        self.tasks.append(function)

    def agent(self, topic: Any, *, name: str, concurrency: int) -> Callable[[Any], None]:
        def keep(function: Any) -> None:
            self.agents[name] = (topic, concurrency, function)

        return keep

    def timer(self, interval: float, *, on_leader: bool) -> Callable[[Any], None]:
        def keep(function: Any) -> None:
            self.timers[function.__name__] = (interval, on_leader, function)

        return keep

    async def run(self, *events: Event) -> int:
        """Let the only agent consume events; how many it has acknowledged."""
        [(_, _, consume)] = self.agents.values()
        done = 0

        async def stream() -> AsyncIterator[Event]:
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
    monkeypatch.setattr(guard, "_SEND_PAUSE", 0)
    with stamina.set_testing(True, attempts=3):
        yield


def handler(*outcomes: Exception | None) -> Callable[[Any, Any], Awaitable[None]]:
    """A handler that raises these one after another, then the last of them for ever; ``handler.seen`` is its input."""
    left = list(outcomes)
    seen: list[Any] = []

    async def handle(message: Any, context: Any) -> None:
        seen.append(message)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if outcome is not None:
            raise outcome

    handle.seen = seen  # type: ignore[attr-defined]
    return handle


def feed_event(**changes: Any) -> Event:
    return event(FEED.encode(), topic="bulk.feed", **changes)


def history(app: App, channel: str) -> list[RetryHeaders]:
    found = [RetryHeaders.read(sent.headers) for sent in app.topics.taken.get(channel, [])]
    assert None not in found
    return [one for one in found if one is not None]


# Agents


async def test_event_is_handled_once(app: App) -> None:
    """What a handler can do is done once and goes nowhere else."""
    handle = handler(None)
    add_agent(app, app.topics.feed, Feed, handle, concurrency=5)
    assert app.agents["handle"][:2] == (app.topics.feed.topic, 5)
    assert await app.run(feed_event(), feed_event()) == 2
    assert handle.seen == [FEED, FEED]
    assert app.topics.taken == {}


async def test_brief_fault_is_retried_in_place(app: App) -> None:
    """A fault that passes in a moment is tried again on the spot."""
    handle = handler(TimeoutError(), AWAY, None)
    add_agent(app, app.topics.feed, Feed, handle)
    assert await app.run(feed_event()) == 1
    assert handle.seen == [FEED] * 3
    assert app.topics.taken == {}


async def test_retries_are_logged(
    app: App, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retry on the spot is a line of the log like any other."""
    log_retries()
    add_agent(app, app.topics.feed, Feed, handler(TimeoutError("too slow"), None))
    await app.run(feed_event())
    [line] = [record.getMessage() for record in caplog.records if record.name == guard.__name__]
    assert re.fullmatch(r"trying again in \d\.\d s: TimeoutError\('too slow'\)", line)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("fault", PERMANENT, ids=repr)
async def test_permanent_fault_is_dead_lettered(app: App, fault: Exception) -> None:
    """A permanent fault goes to the dead letters once without another try."""
    handle = handler(fault, None)
    add_agent(app, app.topics.feed, Feed, handle)
    sent = feed_event()
    assert await app.run(sent, feed_event()) == 2
    assert len(handle.seen) == 2
    assert list(app.topics.taken) == ["bulk.DLQ"]
    [dead] = app.topics.dead.sent
    assert (dead.key, dead.value) == (FEED.key.encode(), sent.message.value)
    [told] = history(app, "bulk.DLQ")
    assert (told.origin, told.retry_count) == (Origin("bulk.feed", 3, 14), 1)
    assert told.error == public_text(fault)


@pytest.mark.parametrize("fault", TRANSIENT, ids=repr)
async def test_lasting_fault_goes_through_tiers(app: App, fault: Exception) -> None:
    """A fault that does not pass in a moment goes through the tiers, and then to the dead letters."""
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
        assert (sent.key, sent.value) == (FEED.key.encode(), message.message.value)
        if delay is not None:
            assert before + delay - 0.01 <= told.due <= after + delay + 0.01
        app.topics.named(name).sent.clear()  # type: ignore[union-attr]
        message = read_again(sent, topic="bulk.feed")
    assert way == ["bulk.retry.1", "bulk.retry.2", "bulk.retry.3", "bulk.DLQ"]
    assert len(handle.seen) == 4 * 3


@pytest.mark.parametrize("kind", [PassingFault, ValueError, PermanentFault])
async def test_dead_letters_hide_the_fault(app: App, kind: type[Exception]) -> None:
    """Dead letters keep the text inside.

    What a viewer may read later is a fixed text, whatever the fault says of hosts and commands.
    """
    add_agent(app, app.topics.feed, Feed, handler(kind("mongo-0.internal:27017 is away")))
    message = feed_event()
    for _ in range(4):
        await app.run(message)
        for channel in app.topics.all:
            for sent in channel.sent:
                assert b"internal:" not in sent.headers["error-message"]
                message = read_again(sent, topic="bulk.feed")
            channel.sent.clear()


async def test_retries_are_counted(app: App) -> None:
    """Each further try counts, by its agent and by where the message has waited for it."""
    tiers = ("on_the_spot", "1", "2")
    counters = [RETRIES.labels("handle", tier)._value for tier in tiers]
    before = [counter.get() for counter in counters]
    add_agent(app, app.topics.feed, Feed, handler(TimeoutError()))
    await app.run(feed_event())
    [sent] = app.topics.retries[0].sent
    await app.run(read_again(sent, topic="bulk.feed"))
    assert [counter.get() - old for counter, old in zip(counters, before, strict=True)] == [2 * 2, 1, 1]


async def test_retried_message_is_done(app: App) -> None:
    """A message that is given back and works is done."""
    handle = handler(TimeoutError(), TimeoutError(), TimeoutError(), None)
    add_agent(app, app.topics.feed, Feed, handle)
    await app.run(feed_event())
    [sent] = app.topics.retries[0].sent
    await app.run(read_again(sent, topic="bulk.feed"))
    assert handle.seen == [FEED] * 4
    assert app.topics.taken == {"bulk.retry.1": [sent]}


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{}", b'{"actionId": "7"}'])
async def test_unreadable_message_is_poison(app: App, value: bytes | None) -> None:
    """What cannot be read goes to the poison as it is and no handler sees it."""
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
async def test_unreadable_history_begins_anew(app: App, headers: Any) -> None:
    """A history that cannot be read begins anew."""
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault("wrong")))
    assert await app.run(feed_event(headers=headers)) == 1
    [told] = history(app, "bulk.DLQ")
    assert (told.origin, told.retry_count) == (Origin("bulk.feed", 3, 14), 1)


@pytest.mark.parametrize("count", ["-1", "-2", "-100", "1000000"])
async def test_bad_count_loses_no_message(app: App, count: str) -> None:
    """A history with an impossible count loses no message."""
    headers = {**RetryHeaders.after(feed_event(), "before").to_headers(), "retry-count": count.encode()}
    add_agent(app, app.topics.feed, Feed, handler(TimeoutError()))
    assert await app.run(feed_event(headers=headers)) == 1
    assert sum(len(sent) for sent in app.topics.taken.values()) == 1


async def test_undecodable_error_loses_nothing(app: App) -> None:
    """An error that cannot be written as UTF-8 loses no message."""
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault("M\udcfcller")))
    assert await app.run(feed_event()) == 1
    assert list(app.topics.taken) == ["bulk.DLQ"]


@pytest.mark.parametrize(
    "refusal",
    [TimeoutError(), NO_LEADER, ValueError("whatever")],
    ids=repr,
)
@pytest.mark.parametrize(
    ("value", "fault", "where"),
    [(b"\xff", None, "poison"), (FEED.encode(), PermanentFault(), "dead"), (FEED.encode(), TimeoutError(), "retry")],
)
async def test_hand_over_is_repeated(
    app: App, refusal: Exception, value: bytes, fault: Exception | None, where: str
) -> None:
    """A hand-over is repeated until the broker takes it."""
    channel = app.topics.retries[0] if where == "retry" else getattr(app.topics, where)
    channel.faults += [refusal] * 20
    handle = handler(fault)
    add_agent(app, app.topics.feed, Feed, handle)
    assert await app.run(event(value, topic="bulk.feed")) == 1
    assert channel.faults == []
    assert {name: len(sent) for name, sent in app.topics.taken.items()} == {channel.name: 1}


async def test_event_is_done_after_hand_over(app: App) -> None:
    """An event counts as done only when the broker has its hand-over."""
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


async def test_stopping_worker_keeps_messages(app: App) -> None:
    """A worker that stops hands nothing over."""
    begun = asyncio.Event()

    async def handle(message: Feed, context: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    add_agent(app, app.topics.feed, Feed, handle)
    running = asyncio.create_task(app.run(feed_event()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert app.topics.taken == {}


# What counts as a failure


CHUNK = Chunk(
    action_id="0" * 24,
    index=2,
    span=ByteRange(start=0, end=10, first_row=1, rows=1),
    source=Source(
        account_id="default",
        entity_type="Contact",
        action_type="BULK_UPDATE",
        storage_key="k",
        columns=("id",),
        row_count=9,
        chunk_count=9,
        started_at=datetime(2026, 1, 31, tzinfo=UTC),
    ),
)


async def fail_again_and_again(app: App, message: Event, times: int) -> list[tuple[str, RetryHeaders, bytes]]:
    """Let a message fail, give it back from where it goes, and so on: where it went each time, and as what."""
    way = []
    for _ in range(times):
        await app.run(message)
        [(name, [sent])] = app.topics.taken.items()
        [told] = history(app, name)
        assert sent.value is not None
        way.append((name, told, sent.value))
        app.topics.named(name).sent.clear()  # type: ignore[union-attr]
        message = read_again(sent, topic="bulk")
    return way


async def test_an_outage_gives_nothing_up(app: App) -> None:
    """While something is away a message waits in the first retry topic, however often, and nothing is counted."""
    app.dependencies.away = ["MongoDB"]
    app.context.settings.retry_inline_seconds = 0.01
    add_agent(app, app.topics.chunks, Chunk, handler(AWAY))
    way = await fail_again_and_again(app, event(CHUNK.encode(), topic="bulk"), 20)
    assert {name for name, _, _ in way} == {"bulk.retry.1"}
    assert {(told.attempt, Chunk.decode(value).attempt) for _, told, value in way} == {(0, 0)}
    assert [told.retry_count for _, told, _ in way] == list(range(1, 21))


@pytest.mark.parametrize(
    "error",
    [NO_LEADER, FULL],
    ids=repr,
)
async def test_outage_error_counts_nothing(app: App, error: Exception) -> None:
    """An error that means away counts nothing."""
    app.context.settings.retry_inline_seconds = 0.01
    add_agent(app, app.topics.chunks, Chunk, handler(error))
    way = await fail_again_and_again(app, event(CHUNK.encode(), topic="bulk"), 6)
    assert {(name, told.attempt) for name, told, _ in way} == {("bulk.retry.1", 0)}


async def test_chunk_carries_its_attempts(app: App) -> None:
    """A chunk carries how often it failed."""
    add_agent(app, app.topics.chunks, Chunk, handler(AWAY))
    way = await fail_again_and_again(app, event(CHUNK.encode(), topic="bulk"), 4)
    assert [(told.attempt, Chunk.decode(value).attempt) for _, told, value in way] == [(n, n) for n in (1, 2, 3, 4)]
    assert way[-1][0] == "bulk.DLQ"


async def test_attempts_survive_an_outage(app: App) -> None:
    """What failed before an outage is still counted after it."""
    add_agent(app, app.topics.chunks, Chunk, handler(AWAY))
    app.context.settings.retry_inline_seconds = 0.01
    message = event(CHUNK.encode(), topic="bulk")
    seen = []
    for away in (False, False, True, True, False, False):
        app.dependencies.away = ["Redis"] if away else []
        [(name, told, value)] = await fail_again_and_again(app, message, 1)
        seen.append((name.rpartition(".")[2], told.attempt))
        message = event(value, topic="bulk", headers=told.to_headers())
    assert seen == [("1", 1), ("2", 2), ("1", 2), ("1", 2), ("3", 3), ("DLQ", 4)]


# Large messages


async def test_poison_carries_only_what_is_kept(app: App) -> None:
    """A message that could be read and not be handed over whole would hold up its agent for ever."""
    add_agent(app, app.topics.feed, Feed, handler(None))
    assert await app.run(event(b"x" * 1_040_000, topic="bulk.feed", key=b"k" * 100_000), feed_event()) == 2
    [poison] = app.topics.poison.sent
    assert (poison.value, poison.key) == (b"x" * 256 * 1024, b"k" * 1024)
    [told] = history(app, "bulk.POISON")
    assert told.full_length == 1_040_000


async def test_handed_over_headers_are_new(app: App) -> None:
    """What is handed over is encoded anew."""
    junk = FEED.encode()[:-1] + b',"junk":"' + b"x" * 1_000_000 + b'"}'
    add_agent(app, app.topics.feed, Feed, handler(PermanentFault()))
    assert await app.run(event(junk, topic="bulk.feed")) == 1
    [dead] = app.topics.dead.sent
    assert dead.value == FEED.encode()


@pytest.mark.parametrize("fault", [PermanentFault(), TimeoutError()], ids=repr)
async def test_oversized_message_is_stored(app: App, fault: Exception) -> None:
    """A message too large for the broker is stored."""
    feed = Feed(action_id="0" * 24, indexes=tuple(range(200_000)))
    for channel in app.topics.all:
        channel.faults += [TooLarge("refused")] * 9
    add_agent(app, app.topics.feed, Feed, handler(fault))
    assert await app.run(event(feed.encode(), topic="bulk.feed"), feed_event()) == 2
    assert app.topics.taken == {}
    letter, _ = app.letters
    assert (letter.payload, letter.length) == (feed.encode()[: 256 * 1024], len(feed.encode()))
    assert letter.origin.topic == "bulk.feed"
    assert not letter.complete


async def test_a_reason_is_short(app: App) -> None:
    """The reason quotes the message, of which a name may be as long as the message."""
    value = b'{"actionId": "' + b"0" * 24 + b'", "chunkCount": 1, "counts": {"' + b"k" * 900_000 + b'": "x"}}'
    add_agent(app, app.topics.results, ChunkResult, handler(None))
    assert await app.run(event(value, topic="bulk.results")) == 1
    [poison] = app.topics.poison.sent
    assert len(poison.headers["error-message"]) < 2000


# Topics whose messages wait


class Reader:
    """Stands for the reader of topics: gives each event to its handler until the worker stops."""

    made: ClassVar[list[Reader]] = []

    def __init__(self, client: Any, group: str, handlers: dict[str, Any], *, session_timeout: float) -> None:
        self.group, self.handlers = group, handlers
        self.cancelled = False
        Reader.made.append(self)

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Reader]]:
    monkeypatch.setattr(guard, "TopicReader", Reader)
    monkeypatch.setattr(guard, "client_options", lambda settings: {})
    monkeypatch.setattr(guard, "_STOP_LOOK", 0.01)
    Reader.made.clear()
    yield Reader


async def reading(app: App) -> tuple[Reader, asyncio.Task[None]]:
    [task] = app.tasks
    running = asyncio.ensure_future(task())
    await asyncio.sleep(0)
    [made] = Reader.made
    return made, running


async def test_waiting_event_is_retried(app: App, reader: type[Reader]) -> None:
    """A waiting event is tried until it works."""
    handle = handler(*TRANSIENT, *TRANSIENT, None)
    add_waiting_topics(app, {app.topics.dead: handle})
    made, running = await reading(app)
    assert (made.group, list(made.handlers)) == ("bulk-waiting", ["bulk.DLQ"])
    one = event(b"\xff", topic="bulk.DLQ")
    await made.handlers["bulk.DLQ"](one)
    assert handle.seen == [one] * (2 * len(TRANSIENT) + 1)
    assert app.topics.taken == {}
    app.should_stop = True
    await running
    assert made.cancelled


@pytest.mark.parametrize("fault", PERMANENT, ids=repr)
async def test_hopeless_waiting_event_is_poison(app: App, reader: type[Reader], fault: Exception) -> None:
    """A waiting event that can never be handled is poison."""
    handle = handler(fault, None)
    add_waiting_topics(app, {app.topics.dead: handle, app.topics.poison: handler(fault)})
    made, running = await reading(app)
    await made.handlers["bulk.DLQ"](event(b"1"))
    await made.handlers["bulk.DLQ"](event(b"2"))
    await made.handlers["bulk.POISON"](event(b"3"))
    assert [one.value for one in handle.seen] == [b"1", b"2"]
    assert [sent.value for sent in app.topics.poison.sent] == [b"1"], "what is poison already goes nowhere"
    running.cancel()
    await asyncio.wait({running})


# Timers


@pytest.mark.parametrize("fault", [*TRANSIENT, *PERMANENT, None], ids=repr)
@pytest.mark.parametrize("on_leader", [True, False])
async def test_timer_survives_errors(app: App, fault: Exception | None, on_leader: bool) -> None:
    """A timer whose body raises does not raise, and has its next turn."""
    handle, platforms = handler(fault), []

    async def body(context: Any) -> None:
        platforms.append(context)
        await handle(None, context)

    add_timer(app, 0.7, body, on_leader=on_leader)
    interval, leader, tick = app.timers["body"]
    assert (interval, leader) == (0.7, on_leader)
    await tick()
    await tick()
    assert platforms == [app.context] * 2


async def test_loop_survives_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop whose body raises goes on until the worker stops."""
    turns = 0

    class Looping:
        context = object()
        should_stop = False

        def task(self, function: Any) -> None:
            self.function = function

        async def sleep(self, seconds: float) -> None:
            assert seconds == 0.3

    app = Looping()

    async def body(context: Any) -> None:
        nonlocal turns
        turns += 1
        app.should_stop = turns == 3
        raise [ConnectionError("away"), ValueError("wrong"), TimeoutError()][turns - 1]

    add_loop(app, 0.3, body)
    await app.function()
    assert turns == 3


async def test_a_timer_that_is_cancelled_ends(app: App) -> None:
    async def body(context: Any) -> None:
        raise asyncio.CancelledError

    add_timer(app, 1, body)
    with pytest.raises(asyncio.CancelledError):
        await app.timers["body"][2]()
