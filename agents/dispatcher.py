"""The dispatcher: starts what is due, and sends again what the broker has lost.

It looks at the database only, on a timer. Two dispatchers at once do no harm: whatever must happen once is
claimed by an atomic step on the action.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from app.dependencies import unavailable
from app.domain.actions import Status
from app.domain.stalls import Reissue, pause, review
from app.messages import ChunkResult, Feed, chunk_id
from app.platform import Platform
from app.settlement import end, settle

log = logging.getLogger(__name__)

#: Actions looked at in one turn, for each reason.
_PER_TURN = 100


async def dispatch(platform: Platform) -> None:
    """Do one turn: due schedules, lost queue entries, stalled actions, claims that nobody released."""
    await start_due(platform)
    await send_lost(platform)
    await push_stalled(platform)
    await platform.claims.sweep()


async def start_due(platform: Platform) -> None:
    """Queue the scheduled actions whose time has come."""
    for action in await platform.store.actions.due(datetime.now(UTC), _PER_TURN):
        if await platform.store.actions.move(action["_id"], Status.QUEUED):
            await platform.topics.feed.send(Feed.announce(action["_id"]))


async def send_lost(platform: Platform) -> None:
    """Announce actions again that were queued a while ago and that no feeder has seen, after pauses that double."""
    actions, now = platform.store.actions, datetime.now(UTC)
    first = timedelta(seconds=platform.settings.requeue_after)
    for action in await _untouched(platform, Status.QUEUED, platform.settings.requeue_after):
        times, last = action.get("announced", 0), action.get("announcedAt")
        if last is not None and now - last < pause(first, times):
            continue
        log.info("action %s is still queued: announcing it again", action["_id"])
        await platform.topics.feed.send(Feed.announce(action["_id"]))
        await actions.note_announcement(action["_id"], times + 1)


async def push_stalled(platform: Platform) -> None:
    """Send missing chunks again of actions that have had no result for a while, at most a window of them.

    An action that stalls too often in a row, without a single new result, is FAILED with the reason.
    """
    stalled = await _untouched(platform, Status.PROCESSING, platform.settings.stall_timeout)
    # While something is away nothing can move, and that is nobody's stall.
    if stalled and not await unavailable(platform):
        for action in stalled:
            await _push(platform, action)


async def _push(platform: Platform, action: dict[str, Any]) -> None:
    settings, actions = platform.settings, platform.store.actions
    action_id, chunk_count = action["_id"], action["chunkCount"]
    fold = await settle(platform, action_id, chunk_count)
    progress = fold.progress
    if progress.complete:
        return
    if await platform.claims.are_gone(action_id):
        # It had ended, and the database has lost that; or its claims were too old.
        log.warning("action %s is under way without its claims", action_id)
        await actions.schedule_cleanup(action_id, datetime.now(UTC))
        return
    done, missing = progress.counted_chunks, progress.missing(settings.feed_window)
    names = {chunk_id(action_id, index): index for index in missing}
    openings = await platform.store.ledger.openings(list(names))
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
        await end(platform, action_id, Status.FAILED, fold, error=reason)
        # What comes late from now on is counted in the action, not in the progress table.
        await platform.topics.results.send(ChunkResult(action_id=action_id, chunk_count=chunk_count))
        return
    if found.send:
        log.warning(
            "action %s: no result for a while, %d of %d chunks done; sending %d again",
            action_id,
            done,
            chunk_count,
            len(found.send),
        )
        await platform.topics.feed.send(Feed(action_id=action_id, indexes=tuple(found.send)))
    await platform.topics.results.send(ChunkResult(action_id=action_id, chunk_count=chunk_count))
    await actions.note_stall(action_id, stalls, done, found.reissues)


async def _untouched(platform: Platform, status: Status, seconds: float) -> list[dict[str, Any]]:
    """Return actions of a status that nothing has touched for ``seconds``, each claimed for this look."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    found = await platform.store.actions.unchanged_since(status, before, _PER_TURN)
    return [action for action in found if await platform.store.actions.touch(action["_id"], action["updatedAt"])]
