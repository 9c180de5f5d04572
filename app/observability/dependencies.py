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
from typing import Protocol

from app.observability.metrics import DEPENDENCY_SECONDS, DEPENDENCY_UP

log = logging.getLogger(__name__)

#: Longest wait for one of them, seconds.
_TIMEOUT = 3.0
#: Between the beginnings of two rounds of questions, seconds.
_INTERVAL = 1.0

Probe = Callable[[], Awaitable[object]]


class Dependencies:
    """What a process depends on, each with its probe: one round of questions at a time, whoever asks.

    Args:
        probes: the name of each dependency, and what raises while it cannot be used.
        clock: seconds that only grow.
    """

    def __init__(self, probes: Mapping[str, Probe], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = dict(probes)
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked_at = -math.inf
        self._away: list[str] = []
        self._last_away = -math.inf

    async def unavailable(self, *, since: float = -math.inf) -> list[str]:
        """Return the names of those that cannot be used.

        Args:
            since: time of the clock at which an answer must have been asked for at the earliest; without it the
                answer may be a second old.
        """
        async with self._asking:
            wait = self._asked_at + _INTERVAL - self._clock()
            if self._asked_at < since and wait > 0:
                await asyncio.sleep(wait)
                wait = 0
            if wait <= 0:
                await self._ask()
            return list(self._away)

    async def all_answered(self, since: float) -> bool:
        """Tell whether everything can be used, and nothing has been found away after a time of the clock."""
        return not await self.unavailable(since=self._clock()) and self._last_away < since

    def now(self) -> float:
        """Return the time of the clock, seconds."""
        return self._clock()

    async def _ask(self) -> None:
        self._asked_at = self._clock()
        reasons = await asyncio.gather(*(_reason(name, probe) for name, probe in self._probes.items()))
        before, self._away = self._away, []
        for name, reason in zip(self._probes, reasons, strict=True):
            if reason is None:
                if name in before:
                    log.info("%s can be used again", name)
                continue
            self._away.append(name)
            self._last_away = self._clock()
            if name not in before:
                log.warning("%s cannot be used: %s", name, reason)


class HasDependencies(Protocol):
    """What has an answer: the platform."""

    @property
    def dependencies(self) -> Dependencies:
        """What it depends on."""


async def unavailable(context: HasDependencies) -> list[str]:
    """Return the names of the dependencies that cannot be used, as known at most a second ago."""
    return await context.dependencies.unavailable()


async def _reason(name: str, probe: Probe) -> str | None:
    label = name.removeprefix("the ").lower()
    with DEPENDENCY_SECONDS.labels(label).time():
        reason = await _asked(probe)
    DEPENDENCY_UP.labels(label).set(reason is None)
    return reason


async def _asked(probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            await probe()
    except TimeoutError:
        return f"no answer within {_TIMEOUT:.0f} s"
    except Exception as error:
        return str(error) or repr(error)
    return None
