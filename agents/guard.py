"""The common guard: the only way an agent, a timer or a loop is made, so that no exception ever loses an event.

Faust acknowledges an event even when the agent raises, and a timer that raises ends the worker. Inside the
guard everything is caught. A fault that passes is tried again for a moment, then handed to the next retry
topic, so that other actions go on; what cannot be done goes to the dead letters, and what cannot be read to
the poison topic. Every hand-over is acknowledged by the broker before the event counts as done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import stamina

from agents.faults import is_transient
from app.domain.public_faults import public_text
from app.headers import Handover, Origin
from app.messages import Message, Undecodable
from app.platform import Platform
from app.topics import Channel

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

Handler = Callable[[M, Platform], Awaitable[None]]
EventHandler = Callable[[Any, Platform], Awaitable[None]]

#: Between two attempts to hand over while the broker is away, seconds. There is nothing else to do.
_HANDOVER_PAUSE = 1.0


def add_agent(app: Any, channel: Channel, message_type: type[M], handle: Handler[M], *, concurrency: int = 1) -> None:
    """Consume a topic: decode each event as ``message_type`` and give it to ``handle``, guarded."""

    async def guarded(event: Any, platform: Platform) -> None:
        try:
            message = message_type.decode(event.value)
        except Undecodable as error:
            log.error("%s: cannot be read: %s", Origin.of(event), error)
            await _hand_over(event, platform.topics.poison, Handover.first(event, str(error)))
            return
        try:
            await _for_a_moment(handle, message, platform)
        except Exception as error:
            await _after_failure(event, platform, error)

    _consume(app, channel, handle.__name__, guarded, concurrency)


def add_raw_agent(app: Any, channel: Channel, handle: EventHandler) -> None:
    """Consume a topic whose events are handled as they are, until that works: there is nowhere further."""

    async def guarded(event: Any, platform: Platform) -> None:
        while True:
            try:
                await handle(event, platform)
            except Exception as error:
                if not is_transient(error):
                    log.exception("%s: given up", Origin.of(event))
                    if channel is not platform.topics.poison:
                        await _hand_over(event, platform.topics.poison, Handover.after(event, public_text(error)))
                    return
                log.warning("%s: %s: trying again: %r", handle.__name__, Origin.of(event), error)
                await asyncio.sleep(_HANDOVER_PAUSE)
            else:
                return

    _consume(app, channel, f"{handle.__name__}-{channel.name.rpartition('.')[2]}", guarded, 1)


def add_timer(
    app: Any, interval: float, body: Callable[[Platform], Awaitable[None]], *, on_leader: bool = False
) -> None:
    """Run ``body`` every ``interval`` seconds; what it raises is logged and ends nothing."""

    async def tick() -> None:
        await _one_turn(app, body)

    tick.__name__ = tick.__qualname__ = body.__name__
    app.timer(interval, on_leader=on_leader)(tick)


def add_loop(app: Any, pause: float, body: Callable[[Platform], Awaitable[None]]) -> None:
    """Run ``body`` again and again, ``pause`` seconds after its end, however long it takes; guarded likewise."""

    async def turns() -> None:
        while not app.should_stop:
            await _one_turn(app, body)
            await app.sleep(pause)

    app.task(turns)


async def _one_turn(app: Any, body: Callable[[Platform], Awaitable[None]]) -> None:
    try:
        await body(app.platform)
    except Exception as error:
        if is_transient(error):
            log.warning("%s: trying again at the next turn: %r", body.__name__, error)
        else:
            log.exception("%s failed", body.__name__)


def _consume(app: Any, channel: Channel, name: str, guarded: EventHandler, concurrency: int) -> None:
    async def consume(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.events()
        async for event in events:
            await guarded(event, app.platform)

    app.agent(channel.topic, name=name, concurrency=concurrency)(consume)


async def _for_a_moment(handle: Handler[M], message: M, platform: Platform) -> None:
    """Handle a message; try again for a moment while what fails is expected to pass."""
    moment = platform.settings.retry_moment
    attempts = stamina.retry_context(on=is_transient, attempts=None, timeout=moment, wait_initial=0.1, wait_max=2.0)
    async for attempt in attempts:
        with attempt:
            await handle(message, platform)


async def _after_failure(event: Any, platform: Platform, error: Exception) -> None:
    """Hand a message to the next retry topic, or to the dead letters when that cannot help any more."""
    # What can be seen outside says the kind of the fault only; the error itself is in the log.
    handover = Handover.after(event, public_text(error))
    retries = platform.topics.retries
    if is_transient(error) and handover.retry_count <= len(retries):
        tier = handover.retry_count - 1
        due = datetime.now(UTC).timestamp() + platform.settings.retry_delays[tier]
        log.warning("%s: later, at %s: %r", Origin.of(event), retries[tier].name, error)
        await _hand_over(event, retries[tier], handover.due_at(due))
        return
    log.error("%s: to the dead letters: %r", Origin.of(event), error)
    await _hand_over(event, platform.topics.dead, handover)


async def _hand_over(event: Any, channel: Channel, handover: Handover) -> None:
    """Send the event's bytes to another topic, however long the broker takes to be there."""
    await send_until_acknowledged(channel, event.message.key, event.message.value, handover.to_headers())


async def send_until_acknowledged(
    channel: Channel, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> None:
    """Send until the broker has it."""
    while True:
        try:
            await channel.send_raw(key, value, headers)
        except Exception as error:
            log.warning("%s does not take a message, trying again: %r", channel.name, error)
            await asyncio.sleep(_HANDOVER_PAUSE)
        else:
            return
