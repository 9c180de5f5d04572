"""What is looked at for the metrics and shows by no event: what waits, what answers, how much room there is.

Every worker looks for itself: whichever of them is stuck, the others go on telling.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from app.context import AppContext
from app.domain.actions import Status
from app.observability.dependencies import unavailable
from app.observability.metrics import INDEX_BACKLOG, INDEX_OLDEST, OLDEST_WAITING, STORAGE_FREE

#: Between two looks, seconds.
INTERVAL = 10.0

#: Statuses in which something is to happen to an action without anybody asking for it.
WAITING = (Status.SCHEDULED, Status.QUEUED, Status.PROCESSING)
#: Actions that are looked at, those first that were made first.
_MOST = 500


async def observe(context: AppContext) -> None:
    """Look once. What cannot be looked at is shown as not known.

    Raises:
        app.domain.faults.DependencyFault, OSError: the database or the storage is away.
    """
    await unavailable(context)
    try:
        oldest = await oldest_waiting(context, datetime.now(UTC))
    except BaseException:
        # An old value would be believed.
        OLDEST_WAITING.clear()
        raise
    for status, seconds in oldest.items():
        OLDEST_WAITING.labels(status).set(seconds)
    if context.index is not None:
        await context.optional_dependencies.states()
        await _observe_index(context)
    try:
        free = await context.storage.free_bytes()
    except BaseException:
        STORAGE_FREE.set(math.nan)
        raise
    STORAGE_FREE.set(math.inf if free is None else free)


async def _observe_index(context: AppContext) -> None:
    try:
        backlog = await context.store.index_queue.backlog()
    except BaseException:
        INDEX_BACKLOG.set(math.nan)
        INDEX_OLDEST.set(math.nan)
        raise
    INDEX_BACKLOG.set(backlog.actions)
    waits = 0.0 if backlog.since is None else (datetime.now(UTC) - backlog.since).total_seconds()
    INDEX_OLDEST.set(max(0.0, waits))


async def oldest_waiting(context: AppContext, now: datetime) -> dict[Status, float]:
    """Return for each status in which actions wait how long the oldest has made no progress, seconds."""
    oldest = dict.fromkeys(WAITING, 0.0)
    for action in await context.store.actions.waiting(now, _MOST):
        waited = (now - action.waiting_since).total_seconds()
        oldest[action.status] = max(oldest[action.status], waited)
    return oldest
