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
    """Do one turn: due schedules, lost queue entries, stalled actions."""
    await start_due(platform)
    await send_lost(platform)
    await push_stalled(platform)


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
    """Send exactly the missing chunks of actions that have had no result for a while, a window of them."""
    for action in await _untouched(platform, Status.PROCESSING, platform.settings.stall_timeout):
        action_id = action["_id"]
        progress = await settle(platform, action_id, action["chunkCount"])
        if progress.complete:
            continue
        missing = progress.missing(platform.settings.feed_window)
        log.warning(
            "action %s: no result for a while, %d of %d chunks done; sending %d again",
            action_id,
            progress.counted_chunks,
            action["chunkCount"],
            len(missing),
        )
        await platform.topics.feed.send(Feed(action_id=action_id, indexes=tuple(missing)))
        await platform.topics.results.send(ChunkResult(action_id=action_id, chunk_count=action["chunkCount"]))


async def _untouched(platform: Platform, status: Status, seconds: float) -> list[dict[str, Any]]:
    """Return actions of a status that nothing has touched for ``seconds``, each claimed for this look."""
    before = datetime.now(UTC) - timedelta(seconds=seconds)
    found = await platform.store.actions.unchanged_since(status, before, _PER_TURN)
    return [action for action in found if await platform.store.actions.touch(action["_id"], action["updatedAt"])]
