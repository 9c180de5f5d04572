"""Events that are documents of their own, on their way into the index."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from app.context import AppContext
from app.domain.indexing import IndexedEvent

log = logging.getLogger(__name__)

#: Between two looks, seconds.
INTERVAL = 10.0
#: Events that are indexed in one turn.
_PER_TURN = 500


async def index_stored_events(context: AppContext) -> None:
    """Index the events whose minute is over; what the index refuses for what is in it is logged, and left alone.

    Raises:
        app.domain.faults.DependencyFault: the database or the index is away; the next turn goes on.
    """
    if context.index is None:
        return
    events = await context.store.events.due(datetime.now(UTC), _PER_TURN)
    if not events:
        return
    for rejected in await context.index.write([IndexedEvent(event, event.at) for event in events]):
        log.error("the event %s was refused by the index: %s", rejected.event_id, rejected.reason)
    await context.store.events.mark_indexed(events)
