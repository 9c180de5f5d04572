"""The common guard: the only way an agent or a timer is made, so that no exception ever loses an event.

Faust acknowledges an event even when the agent raises, and a timer that raises ends the worker. Inside the
guard everything is caught: passing faults are tried again for a moment, and what cannot be done is handed
over, acknowledged by the broker, before the event counts as done.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import stamina

from agents.faults import is_transient
from app.messages import Message, Undecodable
from app.platform import Platform
from app.topics import Channel

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

Handler = Callable[[M, Platform], Awaitable[None]]


def add_agent(app: Any, channel: Channel, message_type: type[M], handle: Handler[M], *, concurrency: int = 1) -> None:
    """Consume a topic: decode each event as ``message_type`` and give it to ``handle``, guarded."""

    async def consume(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.events()
        async for event in events:
            await _guarded(event, message_type, handle, app.platform)

    app.agent(channel.topic, name=handle.__name__, concurrency=concurrency)(consume)


def add_timer(
    app: Any, interval: float, body: Callable[[Platform], Awaitable[None]], *, on_leader: bool = False
) -> None:
    """Run ``body`` every ``interval`` seconds; what it raises is logged and ends nothing."""

    async def tick() -> None:
        try:
            await body(app.platform)
        except Exception as error:
            level = logging.WARNING if is_transient(error) else logging.ERROR
            log.log(level, "%s: %r", body.__name__, error, exc_info=level == logging.ERROR)

    tick.__name__ = tick.__qualname__ = body.__name__
    app.timer(interval, on_leader=on_leader)(tick)


async def _guarded(event: Any, message_type: type[M], handle: Handler[M], platform: Platform) -> None:
    try:
        message = message_type.decode(event.value)
    except Undecodable as error:
        log.error("%s: undecodable: %s", event.message.tp, error)
        return
    try:
        async for attempt in stamina.retry_context(on=is_transient, attempts=None, timeout=60, wait_max=2):
            with attempt:
                await handle(message, platform)
    except Exception:
        log.exception("%s failed on %s", handle.__name__, message.key)
