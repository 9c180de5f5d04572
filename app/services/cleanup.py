"""What the end of an action leaves to do: claims are forgotten, counters compared once more, and deletions done."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.stalls import Opening
from app.kafka.messages import ChunkResult, Feed, chunk_id
from app.observability.dependencies import unavailable
from app.observability.logs import event
from app.services.claim_recovery import rebuild_claims, store_dead_owners
from app.services.completion import recount, summarize_ledger
from app.services.erasure import IN_HAND, erase
from app.services.retention import expire_parts
from app.services.sealing import settle_ended

log = logging.getLogger(__name__)

#: When to look again at chunks of a cancelled action that somebody has in hand, seconds.
_LOOK_AGAIN = 1.0
#: After so many openings nobody tries to finish a chunk of a cancelled action any more.
_MOST_OPENINGS = 50


async def clean_up_action(context: AppContext, action: Action) -> None:
    """Do what is left to do for an action; may be done twice.

    Raises:
        OSError, app.domain.faults.DependencyFault: something is away; doing it again is safe.
    """
    if not action.ended:
        await _restore_claims(context, action)
        return
    if action.stream is not None and action.aborted:
        # Chunks may have come since, or whoever has ended it may not have counted them.
        action = await settle_ended(context.store, action)
    if action.status == Status.CANCELLED and not await _settled(context, action):
        return
    if action.deleting:
        await erase(context, action)
        return
    summary = await recount(context, action.id, action.chunk_count)
    if action.status == Status.COMPLETED:
        await store_dead_owners(context, action, summary.dead_chunks)
    await context.claims.release(action.id)
    # The progress table forgets the action, whatever became of the messages that should have done it.
    await context.topics.results.send(ChunkResult(action_id=action.id, chunk_count=action.chunk_count))
    await expire_parts(context, action)
    if action.recounted:
        await context.store.actions.finish_cleanup(action.id, expire_at=action.retained_until)
        return
    # Whoever had a chunk in hand when the action was given up has closed it by then.
    later = datetime.now(UTC) + timedelta(seconds=IN_HAND * context.settings.stall_timeout)
    await context.store.actions.schedule_cleanup(action.id, later, recounted=True)


async def _settled(context: AppContext, action: Action) -> bool:
    """Tell whether no chunk of a cancelled action is to be finished, or none can be of one that is to be deleted."""
    try:
        return await _settle(context, action)
    except (ObjectMissing, ValueError) as error:
        if not action.deleting:
            raise
        log.warning(event("chunks cannot be finished before the deletion", action=action.id, error=repr(error)))
        return True


async def _settle(context: AppContext, action: Action) -> bool:
    """Have the chunks of a cancelled action finished that were begun; tell whether there is none (left).

    What was begun may have been written, in part or as a whole. What was not begun never is: from the end of an action
    on no row claims, and only a row that has claimed is written.
    """
    settings, actions, now = context.settings, context.store.actions, datetime.now(UTC)
    # Whoever has cancelled the action may not have come so far.
    await context.claims.close(action.id)
    begun = await _begun(context, action)
    if not begun:
        return True
    if await context.claims.are_gone(action.id):
        await rebuild_claims(context, action)
        await context.claims.close(action.id)
    stall_timeout = timedelta(seconds=settings.stall_timeout)
    idle = [index for index, opening in begun.items() if not opening.may_be_in_hand(now, stall_timeout)]
    if idle and not await unavailable(context):
        log.warning(event("finishing chunks begun before the cancellation", action=action.id, chunks=len(idle)))
        await context.topics.feed.send(
            Feed(action_id=action.id, indexes=tuple(idle[: settings.feed_window]), begun=True)
        )
    again_at = now + (stall_timeout if idle else timedelta(seconds=_LOOK_AGAIN))
    await actions.schedule_cleanup(action.id, again_at, deleting=action.deleting)
    return False


async def _begun(context: AppContext, action: Action) -> dict[int, Opening]:
    """Return the chunks of an action that were begun and have no outcome, with their openings."""
    progress = (await summarize_ledger(context, action.id, action.chunk_count)).progress
    names = {chunk_id(action.id, index): index for index in progress.missing(action.chunk_count)}
    openings = await context.store.ledger.openings(list(names))
    hopeless = [name for name, opening in openings.items() if opening.count > _MOST_OPENINGS]
    if hopeless:
        log.error(event("chunks begun could not be finished", action=action.id, chunks=",".join(hopeless)))
    return {names[name]: opening for name, opening in openings.items() if name not in hopeless}


async def _restore_claims(context: AppContext, action: Action) -> None:
    """Rebuild the claims of an action that is under way without them, and let it go on."""
    if action.status in (Status.OPEN, Status.PROCESSING) and await context.claims.are_gone(action.id):
        await rebuild_claims(context, action)
        progress = (await summarize_ledger(context, action.id, action.chunk_count)).progress
        missing = progress.missing(context.settings.feed_window)
        await context.topics.feed.send(Feed(action_id=action.id, indexes=tuple(missing)))
    await context.store.actions.finish_cleanup(action.id)
