"""When an action runs: it is announced to the feeder, at its time, and its chunks again where they were lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.progress import Progress
from app.domain.stalls import StallReview, pause, review
from app.kafka.messages import ChunkResult, Feed, chunk_id
from app.kafka.topics import SEND_TIMEOUT
from app.observability.dependencies import unavailable
from app.services.completion import complete_if_done, end_action

log = logging.getLogger(__name__)

#: Actions looked at in one turn, for each reason.
_PER_TURN = 100


async def announce(context: AppContext, action: Action, *, timeout: float = SEND_TIMEOUT) -> None:
    """Tell the feeder that an action is queued.

    Raises:
        TimeoutError, app.domain.faults.PassingFault: the broker may not have it.
    """
    await context.topics.feed.send(Feed.announce(action.id), timeout=timeout)


async def start_due(context: AppContext) -> None:
    """Queue the scheduled actions whose time has come."""
    for action in await context.store.actions.due_schedules(datetime.now(UTC), _PER_TURN):
        if await context.store.actions.transition(action.id, Status.QUEUED):
            await announce(context, action)


async def announce_lost(context: AppContext) -> None:
    """Announce actions again that were queued a while ago and that no feeder has seen, after pauses that double."""
    now, first = datetime.now(UTC), timedelta(seconds=context.settings.requeue_after)
    for action in await context.store.actions.claim_unchanged(Status.QUEUED, now - first, _PER_TURN):
        if action.announced_at is not None and now - action.announced_at < pause(first, action.announced):
            continue
        log.info("action %s is still queued: announcing it again", action.id)
        await announce(context, action)
        await context.store.actions.record_announcement(action.id, action.announced + 1)


async def review_stalled(context: AppContext) -> None:
    """Send missing chunks again of actions that have had no result for a while, at most a window of them.

    An action that stalls too often in a row, without a single new result, is FAILED with the reason.
    """
    before = datetime.now(UTC) - timedelta(seconds=context.settings.stall_timeout)
    idle = await context.store.actions.claim_unchanged(Status.PROCESSING, before, _PER_TURN)
    # While something is away nothing can move, and that is nobody's stall.
    if idle and not await unavailable(context):
        for action in idle:
            await _review(context, action)


async def _review(context: AppContext, action: Action) -> None:
    settings, actions, results = context.settings, context.store.actions, context.topics.results
    summary = await complete_if_done(context, action.id, action.chunk_count)
    progress = summary.progress
    if progress.complete:
        return
    if await context.claims.are_gone(action.id):
        # It had ended, and the database has lost that; or its claims were too old.
        log.warning("action %s is under way without its claims", action.id)
        await actions.schedule_cleanup(action.id, datetime.now(UTC))
        return
    now, stall_timeout = datetime.now(UTC), timedelta(seconds=settings.stall_timeout)
    moving = await actions.any_progress_since(now - stall_timeout)
    found = await _missing_chunks(context, action, progress, now, moving=moving)
    done, stalls = progress.counted_chunks, _stalls(action, progress, found, moving=moving)
    # The progress table forgets what it has counted: what comes late is counted from the ledger, or in the action.
    recount = ChunkResult(action_id=action.id, chunk_count=action.chunk_count)
    if stalls > settings.action_max_stalls:
        reason = (
            f"No progress in {settings.action_max_stalls} attempts: "
            f"{action.chunk_count - done} of {action.chunk_count} chunks have no result."
        )
        await end_action(context, action.id, Status.FAILED, summary, error=reason)
        await results.send(recount)
        return
    if found.send:
        log.warning(
            "action %s: no result for a while, %d of %d chunks done; sending %d again",
            action.id,
            done,
            action.chunk_count,
            len(found.send),
        )
        await context.topics.feed.send(Feed(action_id=action.id, indexes=tuple(found.send)))
    await results.send(recount)
    await actions.record_stall(action.id, stalls, done, found.reissues)


async def _missing_chunks(
    context: AppContext, action: Action, progress: Progress, now: datetime, *, moving: bool
) -> StallReview:
    """Decide which missing chunks, of as many as may be in flight, are to be sent again."""
    missing = progress.missing(context.settings.feed_window)
    names = {chunk_id(action.id, index): index for index in missing}
    openings = await context.store.ledger.openings(list(names))
    return review(
        missing,
        {names[name]: opening for name, opening in openings.items()},
        action.reissues,
        now,
        timedelta(seconds=context.settings.stall_timeout),
        moving=moving,
    )


def _stalls(action: Action, progress: Progress, found: StallReview, *, moving: bool) -> int:
    """Return how often in a row the action has stalled by now, without a new result."""
    if action.stalled_at != progress.counted_chunks:
        return 0
    if found.begun:
        return action.stalls + 1
    if found.in_hand:
        return action.stalls
    # Its chunks wait: behind those of others, as long as these have results.
    return 0 if moving else action.stalls + 1
