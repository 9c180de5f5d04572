"""Whether everything the rows depend on answers: the database, Redis, the storage and the broker.

Asked by whoever has to tell a fault of a message from an outage. Each is asked for what the rows need of it, which is
to write: a Redis that is full and a database without a primary still answer a ping.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from app.domain.dependencies import DependencyState
from app.domain.public_faults import kind_of
from app.domain.tasks import end_tasks
from app.observability.metrics import DEPENDENCY_SECONDS, DEPENDENCY_UP

log = logging.getLogger(__name__)

#: Longest wait for one of them, seconds.
_TIMEOUT = 3.0
#: Between the beginnings of two rounds of questions, seconds.
_INTERVAL = 1.0

Probe = Callable[[], Awaitable[object]]


class Dependencies:
    """What a process depends on, each with its probe: one round of questions at a time, shared by all who ask.

    Args:
        probes: the name of each dependency, and what raises while it cannot be used.
        clock: seconds that only grow.
    """

    def __init__(self, probes: Mapping[str, Probe], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = dict(probes)
        self._clock = clock
        self._round: asyncio.Task[None] | None = None
        #: When the last complete round began.
        self._asked_at = -math.inf
        self._states: dict[str, DependencyState] = {}
        self._last_away = -math.inf

    async def states(self, *, since: float | None = None) -> list[DependencyState]:
        """Return the state of each, in the order of the probes.

        Args:
            since: time of the clock at which an answer must have been asked for at the earliest; without it the
                answer may be a second old.
        """
        oldest = self._clock() - _INTERVAL if since is None else since
        while self._asked_at < oldest:
            running = self._round
            # One that has ended is not waited for: that would be no wait at all, and this loop would never let the
            # event loop go on.
            if running is None or running.done():
                # A task of its own: it goes on for the others when whoever was first is cancelled.
                running = self._round = asyncio.create_task(self._ask())
            await asyncio.shield(running)
            if since is None:
                # However old it has become: who waits for one that hangs waits for one round only.
                break
        return list(self._states.values())

    async def unavailable(self, *, since: float | None = None) -> list[str]:
        """Return the names of those that cannot be used; ``since`` as for :meth:`states`."""
        return [state.name for state in await self.states(since=since) if not state.ok]

    async def all_answered(self, since: float) -> bool:
        """Tell whether everything can be used, and nothing has been found away after a time of the clock."""
        return not await self.unavailable(since=self._clock()) and self._last_away < since

    @property
    def known(self) -> list[DependencyState]:
        """The state of each as of the last round; asks nobody, and is empty before the first."""
        return list(self._states.values())

    def now(self) -> float:
        """Return the time of the clock, seconds."""
        return self._clock()

    async def close(self) -> None:
        """Ask no more."""
        if self._round is not None:
            await end_tasks([self._round])

    async def _ask(self) -> None:
        wait = self._asked_at + _INTERVAL - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)
        began = self._clock()
        states = await asyncio.gather(*(self._state(name, probe) for name, probe in self._probes.items()))
        self._states = {state.name: state for state in states}
        self._asked_at = began
        if not all(state.ok for state in states):
            self._last_away = self._clock()

    async def _state(self, name: str, probe: Probe) -> DependencyState:
        began = self._clock()
        error = await _error_of(probe)
        latency, now = self._clock() - began, datetime.now(UTC)
        label = name.removeprefix("the ").lower()
        DEPENDENCY_SECONDS.labels(label).observe(latency)
        DEPENDENCY_UP.labels(label).set(error is None)
        state = self._states.get(name)
        changed = state is None or state.ok != (error is None)
        if changed and error is not None:
            log.warning("%s cannot be used: %s", name, str(error) or repr(error))
        elif changed and state is not None:
            log.info("%s can be used again", name)
        state = state or DependencyState(name, error is None, now, latency)
        state = replace(state, ok=error is None, since=now if changed else state.since, latency=latency)
        return state if error is None else replace(state, last_error=_public(name, error), last_error_at=now)


class HasDependencies(Protocol):
    """What has an answer: the platform."""

    @property
    def dependencies(self) -> Dependencies:
        """What it depends on."""


async def unavailable(context: HasDependencies) -> list[str]:
    """Return the names of the dependencies that cannot be used, as known at most a second ago."""
    return await context.dependencies.unavailable()


async def _error_of(probe: Probe) -> Exception | None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            await probe()
    except TimeoutError:
        return TimeoutError(f"no answer within {_TIMEOUT:.0f} s")
    except Exception as error:
        return error
    return None


def _public(name: str, error: Exception) -> str:
    subject = name[0].upper() + name[1:]
    if isinstance(error, TimeoutError):
        return f"{subject} did not answer in time."
    return f"{subject} could not be used: {kind_of(error)}."
