"""What the end of an action leaves to do: its claims are forgotten, and its counters compared once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import Action, Status
from app.kafka.messages import ChunkResult, Feed
from app.services.claim_recovery import rebuild_claims, store_dead_owners
from app.services.completion import recount, summarize_ledger

#: How many times STALL_TIMEOUT later the counters are compared once more: whoever had a chunk in hand when
#: its action was given up has closed it by then.
_LATE_RECOUNT = 10


async def clean_up_action(context: AppContext, action: Action) -> None:
    """Do what is left to do for an action; may be done twice.

    Raises:
        OSError, app.domain.faults.DependencyFault: something is away; doing it again is safe.
    """
    if not action.ended:
        await _restore_claims(context, action)
        return
    summary = await recount(context, action.id, action.chunk_count)
    if action.status == Status.COMPLETED:
        await store_dead_owners(context, action, summary.dead_chunks)
    await context.claims.release(action.id)
    # The progress table forgets the action, whatever became of the messages that should have done it.
    await context.topics.results.send(ChunkResult(action_id=action.id, chunk_count=action.chunk_count))
    if action.recounted:
        await context.store.actions.finish_cleanup(action.id)
        return
    later = datetime.now(UTC) + timedelta(seconds=_LATE_RECOUNT * context.settings.stall_timeout)
    await context.store.actions.schedule_cleanup(action.id, later, recounted=True)


async def _restore_claims(context: AppContext, action: Action) -> None:
    """Rebuild the claims of an action that is under way without them, and let it go on."""
    if action.status == Status.PROCESSING and await context.claims.are_gone(action.id):
        await rebuild_claims(context, action)
        progress = (await summarize_ledger(context, action.id, action.chunk_count)).progress
        missing = progress.missing(context.settings.feed_window)
        await context.topics.feed.send(Feed(action_id=action.id, indexes=tuple(missing)))
    await context.store.actions.finish_cleanup(action.id)
