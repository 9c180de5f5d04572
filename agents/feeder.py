"""The feeder: turns a request for a window into its chunks. Reads the index of them, nothing of the rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.faults import PermanentFault
from app.kafka.messages import Feed
from app.observability.logs import event
from app.observability.metrics import DISPATCH_DELAY
from app.services.issuing import chunks_of

log = logging.getLogger(__name__)

#: Statuses of an action in which its chunks are sent.
_FED = frozenset({Status.OPEN, Status.PROCESSING})


async def feed(message: Feed, context: AppContext) -> None:
    """Send the chunks that are asked for, if the action is to be run at all."""
    action_id = message.action_id
    action = await context.store.actions.find(action_id)
    if action is None:
        if await context.store.erased_actions.knows(action_id):
            return
        raise PermanentFault(f"no action {action_id}")
    if action.status == Status.QUEUED:
        moved = await context.store.actions.start(action_id, message.announcement)
        if moved:
            log.info(event("action started", action=action_id, account=moved.account_id, rows=moved.total_count))
            _observe_delay(moved)
        action = moved or await context.store.actions.get(action_id) or action
    if not (action.status == Status.CANCELLED if message.begun else action.status in _FED):
        return
    if message.announcement is not None and message.announcement != action.announcement:
        # Another announcement has started the action. The one that did goes on here when it is delivered again.
        return
    if message.indexes is None:
        last = min(message.first + context.settings.feed_window, action.chunk_count)
        wanted: Sequence[int] = range(message.first, last)
    else:
        wanted = sorted(set(message.indexes))
    await context.topics.chunks.send_all(await chunks_of(context, action, wanted, replay=message.begun))


def _observe_delay(action: Action) -> None:
    began = action.started_at or action.created_at
    # Another clock may have said when it was due.
    DISPATCH_DELAY.observe(max(0.0, (began - action.due_at).total_seconds()))
