"""Live counters: they go to Redis at every flush, to the action document less often, each only when changed."""

from __future__ import annotations

import math
import time

from app.adapters.mongo import Actions
from app.adapters.redis.snapshots import Snapshots
from app.domain.live_counters import LiveCounters
from app.domain.outcomes import Counts
from app.domain.speed import Rate, Speed

#: Actions of which is remembered what was written last.
_REMEMBERED = 1000


class Reporter:
    """Collects the newest counters of the actions that this worker counts, and writes them out in step.

    What is pending here may be lost with the process: the next result, or the end of the action, writes
    newer counters.
    """

    def __init__(self, actions: Actions, snapshots: Snapshots, *, interval: float) -> None:
        self._actions = actions
        self._snapshots = snapshots
        self._interval = interval
        self._for_redis: dict[str, Counts] = {}
        #: How fast the actions are that this worker counts; as many as are remembered.
        self._speeds: dict[str, Speed] = {}
        self._for_database: dict[str, Counts] = {}
        #: When the counters of an action were last written, and which; what was written last is at the end.
        self._written: dict[str, tuple[float, Counts]] = {}

    def note(self, action_id: str, counts: Counts) -> None:
        """Remember the newest counters of an action."""
        self._for_redis[action_id] = counts
        self._for_database[action_id] = counts
        now = time.time()
        speed = self._speeds.pop(action_id, None)
        self._speeds[action_id] = (
            Speed(counts.processed, now) if speed is None else speed.observe(counts.processed, now)
        )
        if len(self._speeds) > _REMEMBERED:
            del self._speeds[next(iter(self._speeds))]

    def forget(self, action_id: str) -> None:
        """Drop what is pending of an action that has ended: its document has the last word."""
        self._for_redis.pop(action_id, None)
        self._for_database.pop(action_id, None)
        self._speeds.pop(action_id, None)
        self._written.pop(action_id, None)

    async def flush(self) -> None:
        """Write what has changed since the last flush.

        Raises:
            app.domain.faults.DependencyFault: the database is away; the counters stay pending.
        """
        for action_id, counts in list(self._for_redis.items()):
            del self._for_redis[action_id]
            await self._snapshots.publish(action_id, LiveCounters(counts, self._rate(action_id)))
        now = time.monotonic()
        for action_id, counts in list(self._for_database.items()):
            written_at, written = self._written.get(action_id, (-math.inf, None))
            if now - written_at < self._interval:
                continue
            # Counters that are not new must not make an action look as if it moved.
            if counts != written:
                await self._actions.record_progress(action_id, counts)
                self._remember(action_id, counts, now)
            if self._for_database.get(action_id) is counts:
                del self._for_database[action_id]

    def _rate(self, action_id: str) -> Rate | None:
        """Return how fast an action is; None while it is not known."""
        speed = self._speeds.get(action_id)
        return None if speed is None or speed.rate is None else Rate(speed.rate, speed.at)

    def _remember(self, action_id: str, counts: Counts, now: float) -> None:
        self._written.pop(action_id, None)
        self._written[action_id] = now, counts
        if len(self._written) > _REMEMBERED:
            # An action that another worker counts now is never forgotten by its end.
            del self._written[next(iter(self._written))]
