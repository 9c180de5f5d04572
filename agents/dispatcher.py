"""The dispatcher: starts what is due, and sends again what the broker has lost.

It looks at the database only, on a timer. Two dispatchers at once do no harm: whatever must happen once is
claimed by an atomic step on the action.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from app.context import AppContext
from app.domain.actions import Status
from app.domain.stalls import Reissue, pause, review
from app.kafka.messages import ChunkResult, Feed, chunk_id
from app.services.completion import complete_if_done, end
from app.services.dependencies import unavailable

log = logging.getLogger(__name__)

#: Actions looked at in one turn, for each reason.
_PER_TURN = 100


async def dispatch(context: AppContext) -> None:
    """Do one turn: due schedules, lost queue entries, stalled actions, claims that nobody released."""
    await start_due(context)
    await send_lost(context)
    await push_stalled(context)
    await context.claims.sweep()


async def start_due(context: AppContext) -> None:
    """Queue the scheduled actions whose time has come."""
    for action in await context.store.actions.due(datetime.now(UTC), _PER_TURN):
        if await context.store.actions.transition(action["_id"], Status.QUEUED):
            await context.topics.feed.send(Feed.announce(action["_id"]))


async def send_lost(context: AppContext) -> None:
    """Announce actions again that were queued a while ago and that no feeder has seen, after pauses that double."""
    actions, now = context.store.actions, datetime.now(UTC)
    first = timedelta(seconds=context.settings.requeue_after)
    for action in await _untouched(context, Status.QUEUED, context.settings.requeue_after):
        times, last = action.get("announced", 0), action.get("announcedAt")
        if last is not None and now - last < pause(first, times):
            continue
        log.info("action %s is still queued: announcing it again", action["_id"])
        await context.topics.feed.send(Feed.announce(action["_id"]))
        await actions.note_announcement(action["_id"], times + 1)


async def push_stalled(context: AppContext) -> None:
    """Send missing chunks again of actions that have had no result for a while, at most a window of them.

    An action that stalls too often in a row, without a single new result, is FAILED with the reason.
    """
    stalled = await _untouched(context, Status.PROCESSING, context.settings.stall_timeout)
    # While something is away nothing can move, and that is nobody's stall.
    if stalled and not await unavailable(context):
        for action in stalled:
            await _push(context, action)


async def _push(context: AppContext, action: dict[str, Any]) -> None:
    settings, actions = context.settings, context.store.actions
    action_id, chunk_count = action["_id"], action["chunkCount"]
    fold = await complete_if_done(context, action_id, chunk_count)
    progress = fold.progress
    if progress.complete:
        return
    if await context.claims.are_gone(action_id):
        # It had ended, and the database has lost that; or its claims were too old.
        log.warning("action %s is under way without its claims", action_id)
        await actions.schedule_cleanup(action_id, datetime.now(UTC))
        return
    done, missing = progress.counted_chunks, progress.missing(settings.feed_window)
    names = {chunk_id(action_id, index): index for index in missing}
    openings = await context.store.ledger.openings(list(names))
    now, stall_timeout = datetime.now(UTC), timedelta(seconds=settings.stall_timeout)
    moving = await actions.any_progress_since(now - stall_timeout)
    found = review(
        missing,
        {names[name]: opening for name, opening in openings.items()},
        map(Reissue.from_document, action.get("reissues", ())),
        now,
        stall_timeout,
        moving=moving,
    )
    stalls = action.get("stalls", 0)
    if action.get("stalledAt") != done:
        stalls = 0
    elif found.begun:
        stalls += 1
    elif not found.in_hand:
        # Its chunks wait: behind those of others, as long as these have results.
        stalls = 0 if moving else stalls + 1
    if stalls > settings.action_max_stalls:
        reason = (
            f"No progress in {settings.action_max_stalls} attempts: "
            f"{chunk_count - done} of {chunk_count} chunks have no result."
        )
        await end(context, action_id, Status.FAILED, fold, error=reason)
        # What comes late from now on is counted in the action, not in the progress table.
        await context.topics.results.send(ChunkResult(action_id=action_id, chunk_count=chunk_count))
        return
    if found.send:
        log.warning(
            "action %s: no result for a while, %d of %d chunks done; sending %d again",
            action_id,
            done,
            chunk_count,
            len(found.send),
        )
        await context.topics.feed.send(Feed(action_id=action_id, indexes=tuple(found.send)))
    await context.topics.results.send(ChunkResult(action_id=action_id, chunk_count=chunk_count))
    await actions.note_stall(action_id, stalls, done, found.reissues)


async def _untouched(context: AppContext, status: Status, seconds: float) -> list[dict[str, Any]]:
    """Return actions of a status that nothing has touched for ``seconds``, each claimed for this look."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    found = await context.store.actions.unchanged_since(status, before, _PER_TURN)
    return [
        action for action in found if await context.store.actions.claim_unchanged(action["_id"], action["updatedAt"])
    ]
