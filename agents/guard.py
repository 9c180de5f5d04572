"""The common guard: the only way an agent, a timer, a loop or a reader is made, so that no exception loses an event.

Faust acknowledges an event even when the agent raises, and a timer that raises ends the worker. Inside the
guard everything is caught. A fault that passes is tried again on the spot for as long as nothing else could be done
either, then handed to a retry topic, so that other actions go on; what cannot be done goes to the dead letters, and
what cannot be read to the poison topic. Every hand-over is acknowledged by the broker before the event counts as done.

A message is given up for a fault that passes only when it has failed again and again while everything it depends on
answered. What failed in an outage does not count, however long that is.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from agents.dead_letters import MAX_KEY, MAX_PAYLOAD, store_dead_letter
from agents.faults import is_transient, means_away
from app.context import AppContext
from app.domain.dead_letters import Origin
from app.domain.printable import printable
from app.domain.public_faults import public_text
from app.kafka.messages import Chunk, Feed, Message
from app.kafka.retry_headers import RetryHeaders
from app.kafka.security import client_options
from app.kafka.topic_reader import Event, Handle, TopicReader
from app.kafka.topics import Channel, TooLarge, waiting_group
from app.observability.logs import log_context
from app.observability.metrics import RETRIES
from app.observability.tracing import message_span
from app.observability.work import handling

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)

Handler = Callable[[M, AppContext], Awaitable[None]]
EventHandler = Callable[[Any, AppContext], Awaitable[None]]

#: Between two attempts to hand over while the broker is away, or to store a letter, seconds.
_SEND_PAUSE = 1.0
#: So long a fault is tried again on the spot while everything answers, seconds: others could use the place.
_WHILE_ALL_ANSWER = 1.0
#: How often a reader looks whether the worker is to stop, seconds.
_STOP_LOOK = 0.2
#: The tier, in the metrics, of what is tried again where it is.
ON_THE_SPOT = "on_the_spot"
#: A key of ours: an action, or a chunk of it.
_KEY = re.compile(rb"([0-9a-f]{24})(?::([0-9]{1,10}))?")
#: Longest reason that is told of a message that cannot be read, characters.
_MAX_REASON = 500


class Readable(Protocol[M_co]):
    """A kind of message."""

    def read(self, event: Any) -> M_co:
        """Return the message of an event; what this raises says why there is none."""


def add_agent(app: Any, channel: Channel, kind: Readable[M], handle: Handler[M], *, concurrency: int = 1) -> None:
    """Consume a topic: read the message of each event and give it to ``handle``, guarded."""
    name = handle.__name__

    async def guarded(event: Any, context: AppContext) -> None:
        try:
            message = kind.read(event)
        except Exception as error:
            reason = printable(str(error), _MAX_REASON)
            log.error("%s: cannot be read: %s", Origin.of(event), reason)
            await forward_unread(event, context, RetryHeaders.first(event, reason))
            return
        began = context.dependencies.now()
        fields = _fields_of(message)
        of_root = isinstance(message, Feed)
        with log_context(**fields), message_span(name, event.message.headers, _traced(fields), of_root=of_root):
            try:
                await _with_retries(handle, message, context)
            except Exception as error:
                await _after_failure(event, name, message, context, error, began)

    async def consume(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.events()
        async for event in events:
            with handling(channel.name):
                await guarded(event, app.context)

    RETRIES.labels(name, ON_THE_SPOT)
    app.agent(channel.topic, name=name, concurrency=concurrency)(consume)


def add_waiting_topics(app: Any, handlers: Mapping[Channel, EventHandler]) -> None:
    """Read topics whose events are handled as they are, until that works: there is nowhere further.

    What waits there, for its time or for a service that is away, holds up its own partition and nothing else.
    """

    def guarded(channel: Channel, handle: EventHandler) -> Handle:
        async def until_done(event: Any) -> None:
            await _until_done(event, channel, handle, app.context)

        return until_done

    async def read() -> None:
        settings = app.context.settings
        reader = TopicReader(
            {"bootstrap_servers": settings.brokers, **client_options(settings)},
            waiting_group(settings.kafka_topic),
            {channel.name: guarded(channel, handle) for channel, handle in handlers.items()},
            session_timeout=settings.broker_session_timeout,
        )
        reading = asyncio.create_task(reader.run())
        try:
            while not app.should_stop:
                await asyncio.wait({reading}, timeout=_STOP_LOOK)
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    app.task(read)


def add_timer(
    app: Any, interval: float, body: Callable[[AppContext], Awaitable[None]], *, on_leader: bool = False
) -> None:
    """Run ``body`` every ``interval`` seconds; what it raises is logged and ends nothing."""

    async def tick() -> None:
        await _one_turn(app, body)

    tick.__name__ = tick.__qualname__ = body.__name__
    app.timer(interval, on_leader=on_leader)(tick)


def add_loop(app: Any, pause: float, body: Callable[[AppContext], Awaitable[None]]) -> None:
    """Run ``body`` again and again, ``pause`` seconds after its end, however long it takes; guarded likewise."""

    async def turns() -> None:
        while not app.should_stop:
            await _one_turn(app, body)
            await app.sleep(pause)

    app.task(turns)


async def _one_turn(app: Any, body: Callable[[AppContext], Awaitable[None]]) -> None:
    try:
        await body(app.context)
    except Exception as error:
        if is_transient(error):
            log.warning("%s: trying again at the next turn: %r", body.__name__, error)
        else:
            log.exception("%s failed", body.__name__)


def _fields_of(message: Message) -> dict[str, Any]:
    """Return what the log is to say of a message that is in hand: whose it is."""
    fields: dict[str, Any] = {"action": message.action_id}
    if (index := getattr(message, "index", None)) is not None:
        fields["chunk"] = index
    if isinstance(message, Chunk):
        fields["account"] = message.source.account_id
    return fields


def _traced(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the span of a message says of it: of the same all but the account."""
    return {name: value for name, value in fields.items() if name != "account"}


def _fields_of_key(key: bytes | None) -> dict[str, Any]:
    """Return the same of a message that nobody has read, as far as its key says it."""
    found = _KEY.fullmatch(key or b"")
    if found is None:
        return {}
    action_id, index = found.groups()
    return {"action": action_id.decode(), **({} if index is None else {"chunk": int(index)})}


async def _until_done(event: Any, channel: Channel, handle: EventHandler, context: AppContext) -> None:
    fields = _fields_of_key(event.message.key)
    with log_context(**fields), message_span(handle.__name__, event.message.headers, _traced(fields)):
        await _try_until_done(event, channel, handle, context)


async def _try_until_done(event: Any, channel: Channel, handle: EventHandler, context: AppContext) -> None:
    while True:
        try:
            await handle(event, context)
        except Exception as error:
            if is_transient(error):
                log.warning("%s: %s: trying again: %r", handle.__name__, Origin.of(event), error)
                await asyncio.sleep(_SEND_PAUSE)
                continue
            log.exception("%s: given up", Origin.of(event))
            if channel is not context.topics.poison:
                await forward_unread(event, context, RetryHeaders.after(event, public_text(error)))
        return


async def _with_retries(handle: Handler[M], message: M, context: AppContext) -> None:
    """Handle a message; try again while what fails is expected to pass.

    While something is away that goes on for RETRY_INLINE_SECONDS: nothing else could be done either. While everything
    answers, the fault is this message's, and its place belongs to others.
    """
    dependencies, longest = context.dependencies, context.settings.retry_inline_seconds
    began, tries = dependencies.now(), 0
    while True:
        turn = dependencies.now()
        try:
            async for attempt in stamina.retry_context(
                on=is_transient,
                attempts=None,
                timeout=min(longest, _WHILE_ALL_ANSWER),
                wait_initial=0.1,
                wait_max=0.5,
            ):
                with attempt:
                    tries += 1
                    if tries > 1:
                        RETRIES.labels(handle.__name__, ON_THE_SPOT).inc()
                    await handle(message, context)
            return
        except Exception as error:
            if not is_transient(error) or dependencies.now() - began >= longest:
                raise
            if not means_away(error) and await dependencies.all_answered(turn):
                raise


def log_retries() -> None:
    """Log each retry on the spot like everything else; of itself the library writes to standard output."""
    set_on_retry_hooks([_log_retry])


def _log_retry(details: RetryDetails) -> None:
    log.warning("trying again in %.1f s: %r", details.wait_for, details.caused_by)


async def _after_failure(
    event: Any, agent: str, message: Message, context: AppContext, error: Exception, began: float
) -> None:
    """Hand a message to a retry topic, or to the dead letters when that cannot help any more."""
    passes = is_transient(error)
    counted = not passes or (not means_away(error) and await context.dependencies.all_answered(began))
    # What can be seen outside says the kind of the fault only; the error itself is in the log.
    retry_headers = RetryHeaders.after(event, public_text(error), counted=counted)
    if isinstance(message, Chunk):
        message = message.model_copy(update={"attempt": retry_headers.attempt})
    retries = context.topics.retries
    if passes and retry_headers.attempt <= len(retries):
        # What waits for a service goes on soon after it is back.
        tier = retry_headers.attempt - 1 if counted else 0
        due = datetime.now(UTC).timestamp() + context.settings.retry_delays[tier]
        log.warning("%s: later, at %s: %r", Origin.of(event), retries[tier].name, error)
        await _forward(message, context, retries[tier], retry_headers.due_at(due))
        RETRIES.labels(agent, str(tier + 1)).inc()
        return
    log.error("%s: to the dead letters: %r", Origin.of(event), error)
    await _forward(message, context, context.topics.dead, retry_headers)


async def _forward(message: Message, context: AppContext, channel: Channel, retry_headers: RetryHeaders) -> None:
    """Send a message to another topic, however long the broker takes to be there.

    It is encoded anew, without what its sender may have added. One that is too large all the same is a dead letter.
    """
    key, value = message.key.encode(), message.encode()
    try:
        await send_until_acknowledged(channel, key, value, retry_headers.to_headers())
    except TooLarge as error:
        log.error("%s: %s, so that it is stored as a dead letter: %s", retry_headers.origin, channel.name, error)
        dead = replace(retry_headers, error=f"{retry_headers.error} (and too large to be tried again)")
        await _until_done(
            Event.made(channel.name, key, value, dead.to_headers()), context.topics.dead, store_dead_letter, context
        )


async def forward_unread(event: Any, context: AppContext, retry_headers: RetryHeaders) -> None:
    """Send the event's bytes, as many as are kept, to the poison topic."""
    key, value = event.message.key, event.value
    if len(value or b"") > MAX_PAYLOAD:
        retry_headers, value = retry_headers.cut(len(value)), value[:MAX_PAYLOAD]
    await send_until_acknowledged(
        context.topics.poison, None if key is None else key[:MAX_KEY], value, retry_headers.to_headers()
    )


async def send_until_acknowledged(
    channel: Channel, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> None:
    """Send until the broker has it.

    Raises:
        TooLarge: no broker will ever take it.
    """
    while True:
        try:
            await channel.send_raw(key, value, headers)
        except TooLarge:
            raise
        except Exception as error:
            log.warning("%s does not take a message, trying again: %r", channel.name, error)
            await asyncio.sleep(_SEND_PAUSE)
        else:
            return
