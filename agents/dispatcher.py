"""The dispatcher: starts what is due, and sends again what the broker has lost.

It looks at the database only, on a timer. Two dispatchers at once do no harm: whatever must happen once is
claimed by an atomic step on the action.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.actions import Status
from app.messages import ChunkResult, Feed
from app.platform import Platform
from app.settlement import settle

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
            await platform.topics.feed.send(Feed(action_id=action["_id"]))


async def send_lost(platform: Platform) -> None:
    """Send actions again that were queued a while ago and that no feeder has seen."""
    for action in await _untouched(platform, Status.QUEUED, platform.settings.requeue_after):
        log.info("action %s is still queued: sending it again", action["_id"])
        await platform.topics.feed.send(Feed(action_id=action["_id"]))


async def push_stalled(platform: Platform) -> None:
    """Send exactly the missing chunks of actions that have had no result for a while, a window of them.

    An action that stalls too often in a row, without a single new result, is FAILED with the reason.
    """
    settings = platform.settings
    for action in await _untouched(platform, Status.PROCESSING, settings.stall_timeout):
        action_id, chunk_count = action["_id"], action["chunkCount"]
        progress = await settle(platform, action_id, chunk_count)
        if progress.complete:
            continue
        done = progress.counted_chunks
        stalls = action.get("stalls", 0) + 1 if action.get("stalledAt") == done else 1
        if stalls > settings.action_max_stalls:
            reason = (
                f"No progress in {settings.action_max_stalls} attempts: "
                f"{chunk_count - done} of {chunk_count} chunks have no result."
            )
            log.error("action %s: %s", action_id, reason)
            await platform.store.actions.move(action_id, Status.FAILED, error=reason, **progress.counts.to_document())
            await platform.claims.release(action_id)
            continue
        await platform.store.actions.note_stall(action_id, stalls, done)
        missing = progress.missing(settings.feed_window)
        log.warning(
            "action %s: no result for a while, %d of %d chunks done; sending %d again",
            action_id,
            done,
            chunk_count,
            len(missing),
        )
        await platform.topics.feed.send(Feed(action_id=action_id, indexes=tuple(missing)))
        await platform.topics.results.send(ChunkResult(action_id=action_id, chunk_count=chunk_count))


async def _untouched(platform: Platform, status: Status, seconds: float) -> list[dict[str, Any]]:
    """Return actions of a status that nothing has touched for ``seconds``, each claimed for this look."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    found = await platform.store.actions.unchanged_since(status, before, _PER_TURN)
    return [action for action in found if await platform.store.actions.touch(action["_id"], action["updatedAt"])]
