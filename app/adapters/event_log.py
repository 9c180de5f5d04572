"""Events that no other document has are counted in this process, and written to the database in the background.

No request waits for it. It never grows: of each type a number is told alone in a minute, and the rest together. A
database that is away costs these events alone: what is older than some minutes is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.adapters.mongo import Events
from app.domain.account_events import Happening, minute_of
from app.domain.events import EventType
from app.domain.faults import DependencyFault

log = logging.getLogger(__name__)

#: Between two writes, seconds.
INTERVAL: Final = 2.0
#: Most events of one type in one minute that are told alone, by each worker.
MOST_ALONE: Final = 50
#: What is as old as this, and not written yet, is dropped.
_TOO_OLD: Final = timedelta(minutes=10)
#: Seconds for the last write of a worker that stops.
_LAST_WRITE: Final = 2.0


@dataclass(slots=True)
class _Counted:
    """What happened in a minute, when first, and how often."""

    happening: Happening
    at: datetime
    count: int = 1


class EventLog:
    """What has happened in this process and is not written yet.

    Args:
        events: Where it is written.
        retention: How long it is kept there; None: for ever.
        clock: Tells the time, with its zone.
    """

    def __init__(
        self, events: Events, retention: timedelta | None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._events, self._retention, self._clock = events, retention, clock
        #: By minute and name: of what is counted together the first is told.
        self._pending: dict[tuple[datetime, str], _Counted] = {}
        #: Which are told alone in the present minute, by type; also those that are written by now.
        self._alone: dict[EventType, set[str]] = {}
        self._minute = datetime.min.replace(tzinfo=UTC)

    def note(self, happening: Happening, now: datetime | None = None) -> None:
        """Count something that has happened; it is written soon."""
        at = now or self._clock()
        minute = minute_of(at)
        if minute != self._minute:
            self._minute, self._alone = minute, {}
        alone = self._alone.setdefault(happening.type, set())
        if happening.name not in alone:
            if len(alone) < MOST_ALONE:
                alone.add(happening.name)
            else:
                happening = happening.as_others()
        counted = self._pending.get((minute, happening.name))
        if counted is None:
            self._pending[minute, happening.name] = _Counted(happening, at)
        else:
            counted.count += 1

    async def flush(self) -> None:
        """Write what has happened since the last time.

        Raises:
            app.domain.faults.DependencyFault: the database is away; what is not written is tried again.
        """
        oldest = self._clock() - _TOO_OLD
        for key, counted in list(self._pending.items()):
            del self._pending[key]
            if counted.at < oldest:
                continue
            expire_at = None if self._retention is None else counted.at + self._retention
            try:
                await self._events.add(counted.happening.event(counted.at, counted.count), expire_at)
            except DependencyFault:
                self._put_back(key, counted)
                raise

    def _put_back(self, key: tuple[datetime, str], counted: _Counted) -> None:
        since = self._pending.get(key)
        if since is not None:
            counted.count += since.count
        self._pending[key] = counted

    async def close(self) -> None:
        """Write what is left, if that can be done soon."""
        with suppress(DependencyFault, TimeoutError):
            await asyncio.wait_for(self.flush(), _LAST_WRITE)
