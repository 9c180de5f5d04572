"""The clean-up: what an ended action leaves to do, and replays that have not ended.

It looks at the database only, on a timer, like the dispatcher; what it does may be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.faults import is_transient
from app.dependencies import unavailable
from app.domain.actions import ENDED, Status
from app.messages import ChunkResult, Feed
from app.ownership import rebuild_claims, store_dead_owners
from app.platform import Platform
from app.replays import go_on
from app.settlement import fold_ledger, recount

log = logging.getLogger(__name__)

Step = Callable[[Platform, dict[str, Any]], Awaitable[None]]

#: Actions, and letters, looked at in one turn.
_PER_TURN = 100
#: How many times STALL_TIMEOUT later the counters are compared once more: whoever had a chunk in hand when
#: its action was given up has closed it by then.
_LATE_RECOUNT = 10


async def clean_up(platform: Platform) -> None:
    """Do one turn: actions whose clean-up is due, and replays that nothing was heard of."""
    # What one dispatcher has taken another takes after this time, and so does itself when it failed.
    lease = timedelta(seconds=platform.settings.stall_timeout)
    for action in await platform.store.actions.take_cleanups(datetime.now(UTC), lease, _PER_TURN):
        await _guarded(_clean_up_action, platform, action)
    letters = await platform.store.dead_letters.take_replays(datetime.now(UTC), lease, _PER_TURN)
    # What cannot be run now must not be sent in vain. The ends above give memory back to a Redis that is full.
    if letters and not await unavailable(platform):
        for letter in letters:
            await _guarded(go_on, platform, letter)


async def _guarded(step: Step, platform: Platform, item: dict[str, Any]) -> None:
    """One that fails does not keep the others from their turn; its lease gives it another."""
    try:
        await step(platform, item)
    except Exception as error:
        if is_transient(error):
            log.warning("clean-up of %s: trying again later: %r", item["_id"], error)
        else:
            log.exception("clean-up of %s failed", item["_id"])


async def _clean_up_action(platform: Platform, action: dict[str, Any]) -> None:
    actions, now, action_id = platform.store.actions, datetime.now(UTC), action["_id"]
    if action["status"] not in ENDED:
        await _give_claims_back(platform, action)
        return
    fold = await recount(platform, action_id, action["chunkCount"])
    if action["status"] == Status.COMPLETED:
        await store_dead_owners(platform, action, fold.dead_chunks)
    await platform.claims.release(action_id)
    # The progress table forgets the action, whatever became of the messages that should have done it.
    await platform.topics.results.send(ChunkResult(action_id=action_id, chunk_count=action["chunkCount"]))
    if action.get("recounted"):
        await actions.finish_cleanup(action_id)
        return
    later = now + timedelta(seconds=_LATE_RECOUNT * platform.settings.stall_timeout)
    await actions.schedule_cleanup(action_id, later, recounted=True)


async def _give_claims_back(platform: Platform, action: dict[str, Any]) -> None:
    """Rebuild the claims of an action that is under way without them, and let it go on."""
    action_id = action["_id"]
    if action["status"] == Status.PROCESSING and await platform.claims.are_gone(action_id):
        await rebuild_claims(platform, action)
        fold = await fold_ledger(platform, action_id, action["chunkCount"])
        missing = fold.progress.missing(platform.settings.feed_window)
        await platform.topics.feed.send(Feed(action_id=action_id, indexes=tuple(missing)))
    await platform.store.actions.finish_cleanup(action_id)
