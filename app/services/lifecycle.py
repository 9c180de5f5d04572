"""What a principal does to an action under way: cancel it, pause it, let it go on.

Each is one atomic change of the action's document, and effective with it: no chunk is begun any more. Chunks that are
in hand then are finished and counted. What the change leaves to do is done at once where that works, else by the
clean-up (``app/services/cleanup.py``) and the watchdog (``app/services/scheduling.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from datetime import UTC, datetime

from app.context import AppContext
from app.domain.access import Principal
from app.domain.actions import Action, Status
from app.kafka.messages import ChunkResult
from app.observability.logs import event
from app.services.completion import end_action, summarize_ledger
from app.services.scheduling import ANNOUNCE_TIMEOUT
from app.services.streams import seal_if_complete
from app.services.transitions import moved_or_refused

log = logging.getLogger(__name__)


async def cancel(context: AppContext, action: Action, principal: Principal, reason: str | None = None) -> Action:
    """End an action before all of its rows have run; return it as it is then.

    Raises:
        TransitionRefused: it has ended already.
        app.domain.faults.DependencyFault: the database is away.
    """
    summary = await summarize_ledger(context, action.id, action.chunk_count)
    try:
        moved = await end_action(context, action.id, Status.CANCELLED, summary, by=principal.name, reason=reason)
    except Exception:
        # The end may be written, and Redis away, which the clean-up sees to.
        moved = await context.store.actions.get(action.id)
        if moved is None or moved.status != Status.CANCELLED:
            raise
    moved = await moved_or_refused(context, action, moved)
    # The progress agent forgets what it knows, and counts what comes late in the action itself.
    await _best_effort(_recount(context, moved), moved)
    return moved


async def pause(context: AppContext, action: Action, principal: Principal, reason: str | None = None) -> Action:
    """Let no further chunk of an action be begun; return it as it is then.

    Raises:
        TransitionRefused: it has not begun, is paused, or has ended.
        app.domain.faults.DependencyFault: the database is away.
    """
    moved = await context.store.actions.transition(action.id, Status.PAUSED, by=principal.name, reason=reason)
    return await moved_or_refused(context, action, moved)


async def resume(context: AppContext, action: Action, principal: Principal, reason: str | None = None) -> Action:
    """Let a paused action go on; return it as it is then.

    Raises:
        TransitionRefused: it is not paused.
        app.domain.faults.DependencyFault: the database is away.
    """
    moved = await context.store.actions.resume(action, by=principal.name, reason=reason)
    moved = await moved_or_refused(context, action, moved)
    await _best_effort(_go_on(context, moved), moved)
    return moved


async def _go_on(context: AppContext, action: Action) -> None:
    if await context.claims.are_gone(action.id):
        # It was paused for longer than claims are kept: they are rebuilt, and then its chunks are sent.
        await context.store.actions.schedule_cleanup(action.id, datetime.now(UTC))
        return
    await _recount(context, action, refeed=True)
    # What came meanwhile may have been the last.
    await seal_if_complete(context, action)


async def _recount(context: AppContext, action: Action, *, refeed: bool = False) -> None:
    result = ChunkResult(action_id=action.id, chunk_count=action.chunk_count, refeed=refeed)
    await context.topics.results.send(result, timeout=ANNOUNCE_TIMEOUT)


async def _best_effort(step: Awaitable[None], action: Action) -> None:
    """Do what a timer would do later: the change itself is stored, and no failure of this makes it undone."""
    try:
        await step
    except Exception as error:
        log.warning(event("left to the timers", action=action.id, status=action.status, error=repr(error)))
