"""Events that are documents of their own, on their way into the index."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from app.context import AppContext
from app.domain.indexing import IndexedEvent
from app.domain.rejected_events import MAX_NAMED, letter_of_stored
from app.observability.metrics import INDEX_REJECTED, INDEXED_EVENTS
from app.services.dead_letters import keep_of_nobody

log = logging.getLogger(__name__)

#: Between two looks, seconds.
INTERVAL = 10.0
#: Events that are indexed in one turn.
_PER_TURN = 500


async def index_stored_events(context: AppContext) -> None:
    """Index the events whose minute is over; what the index refuses for what is in it becomes dead letters.

    Raises:
        app.domain.faults.DependencyFault: the database or the index is away; the next turn goes on.
    """
    if context.index is None:
        return
    events = await context.store.events.due(datetime.now(UTC), _PER_TURN)
    if not events:
        return
    rejected = await context.index.write([IndexedEvent(event, event.at) for event in events])
    INDEXED_EVENTS.inc(len(events) - len(rejected))
    for start in range(0, len(rejected), MAX_NAMED):
        together = rejected[start : start + MAX_NAMED]
        INDEX_REJECTED.inc(len(together))
        log.error("%d events were refused by the index: %s", len(together), together[0].reason)
        await keep_of_nobody(context, letter_of_stored(together, datetime.now(UTC)))
    await context.store.events.mark_indexed(events)
