"""The clean-up: what an ended action leaves to do, and replays that have not ended.

It looks at the database only, on a timer, like the dispatcher; what it does may be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.faults import is_transient
from app.context import AppContext
from app.domain.actions import ENDED, Status
from app.kafka.messages import ChunkResult, Feed
from app.services.claim_recovery import rebuild_claims, store_dead_owners
from app.services.completion import recount, summarize_ledger
from app.services.dependencies import unavailable
from app.services.replays import go_on

log = logging.getLogger(__name__)

Step = Callable[[AppContext, dict[str, Any]], Awaitable[None]]

#: Actions, and letters, looked at in one turn.
_PER_TURN = 100
#: How many times STALL_TIMEOUT later the counters are compared once more: whoever had a chunk in hand when
#: its action was given up has closed it by then.
_LATE_RECOUNT = 10


async def clean_up(context: AppContext) -> None:
    """Do one turn: actions whose clean-up is due, and replays that nothing was heard of."""
    # What one dispatcher has taken another takes after this time, and so does itself when it failed.
    lease = timedelta(seconds=context.settings.stall_timeout)
    for action in await context.store.actions.take_cleanups(datetime.now(UTC), lease, _PER_TURN):
        await _guarded(_clean_up_action, context, action)
    letters = await context.store.dead_letters.take_replays(datetime.now(UTC), lease, _PER_TURN)
    # What cannot be run now must not be sent in vain. The ends above give memory back to a Redis that is full.
    if letters and not await unavailable(context):
        for letter in letters:
            await _guarded(go_on, context, letter)


async def _guarded(step: Step, context: AppContext, item: dict[str, Any]) -> None:
    """One that fails does not keep the others from their turn; its lease gives it another."""
    try:
        await step(context, item)
    except Exception as error:
        if is_transient(error):
            log.warning("clean-up of %s: trying again later: %r", item["_id"], error)
        else:
            log.exception("clean-up of %s failed", item["_id"])


async def _clean_up_action(context: AppContext, action: dict[str, Any]) -> None:
    actions, now, action_id = context.store.actions, datetime.now(UTC), action["_id"]
    if action["status"] not in ENDED:
        await _give_claims_back(context, action)
        return
    fold = await recount(context, action_id, action["chunkCount"])
    if action["status"] == Status.COMPLETED:
        await store_dead_owners(context, action, fold.dead_chunks)
    await context.claims.release(action_id)
    # The progress table forgets the action, whatever became of the messages that should have done it.
    await context.topics.results.send(ChunkResult(action_id=action_id, chunk_count=action["chunkCount"]))
    if action.get("recounted"):
        await actions.finish_cleanup(action_id)
        return
    later = now + timedelta(seconds=_LATE_RECOUNT * context.settings.stall_timeout)
    await actions.schedule_cleanup(action_id, later, recounted=True)


async def _give_claims_back(context: AppContext, action: dict[str, Any]) -> None:
    """Rebuild the claims of an action that is under way without them, and let it go on."""
    action_id = action["_id"]
    if action["status"] == Status.PROCESSING and await context.claims.are_gone(action_id):
        await rebuild_claims(context, action)
        fold = await summarize_ledger(context, action_id, action["chunkCount"])
        missing = fold.progress.missing(context.settings.feed_window)
        await context.topics.feed.send(Feed(action_id=action_id, indexes=tuple(missing)))
    await context.store.actions.finish_cleanup(action_id)
