"""Actions that are kept for a time only (``RETENTION_DAYS``), which is decided at their end.

The server of the database removes documents at their ``expireAt``. Those of what belongs to an action have one a day
later than the action itself, and it gets its own only when they have theirs: so of an action that is there all is
there, and of one that is gone nothing stays. Whatever runs at that time, the dispatcher deletes what has expired as if
somebody had asked for it, the file included; where the server was first, the file belongs to no action any more, and
the orphan sweeper takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from app.context import AppContext
from app.domain.actions import Action
from app.domain.operations import BULK_DELETE
from app.domain.retention import PARTS_LATER
from app.kafka.messages import chunk_id
from app.observability.logs import event

log = logging.getLogger(__name__)

#: Actions whose deletion is begun in one turn.
_PER_TURN = 500


async def expire_parts(context: AppContext, action: Action, chunks: Iterable[int] | None = None) -> None:
    """Let what belongs to an action by now expire with it, if it ever does; may be done twice.

    ``chunks``: those of which anything is new; None: any.

    Raises:
        app.domain.faults.DependencyFault: the database is away.
    """
    if action.retained_until is None:
        return
    store, at = context.store, action.retained_until + PARTS_LATER
    if action.action_type == BULK_DELETE.name:
        # Once it is gone, nothing tells any more which records it has deleted.
        gone_from = action.retained_until
        await store.erased_deletions.note(action.account_id, action.entity_type, action.last_change, gone_from)
    indexes = range(action.chunk_count) if chunks is None else chunks
    await store.ledger.expire([chunk_id(action.id, index) for index in indexes], at)
    await store.dead_letters.expire(action.id, at)
    await store.events.expire(action.id, at)
    if action.stream is not None:
        await store.stream_chunks.expire(action.id, at)


async def delete_expired(context: AppContext, now: datetime) -> None:
    """Begin to delete the actions whose time is over, and forget those that were deleted long ago.

    Raises:
        app.domain.faults.DependencyFault: the database is away.
    """
    if deleted := await context.store.actions.delete_expired(now, _PER_TURN):
        log.info(event("actions expired", count=deleted))
    await context.store.erased_actions.forget(now)
    await context.store.events.forget(now)
