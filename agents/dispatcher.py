"""The dispatcher: starts what is due, and sends again what the broker has lost.

It looks at the database only, on a timer. Two dispatchers at once do no harm: whatever must happen once is
claimed by an atomic step on the action.
"""

from __future__ import annotations

from datetime import UTC, datetime

from app.context import AppContext
from app.services.retention import delete_expired
from app.services.scheduling import announce_queued, review_stalled, start_due
from app.services.stream_review import review_streams


async def dispatch(context: AppContext) -> None:
    """Do one turn: due schedules, lost queue entries, stalled actions, streams, and what is to be forgotten."""
    await start_due(context, datetime.now(UTC))
    await announce_queued(context, datetime.now(UTC))
    await review_stalled(context)
    await review_streams(context)
    await context.claims.sweep()
    await delete_expired(context, datetime.now(UTC))
