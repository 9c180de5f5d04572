"""The clean-up: what an ended action leaves to do, deletions of actions, and replays that have not ended.

It looks at the database only, on a timer, like the dispatcher; what it does may be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

from agents.faults import is_transient
from app.context import AppContext
from app.observability.dependencies import unavailable
from app.observability.logs import log_context
from app.observability.tracing import continued
from app.services.cleanup import clean_up_action
from app.services.erasure import sweep_erased
from app.services.replays import continue_replay

log = logging.getLogger(__name__)

#: Actions, and dead letters, looked at in one turn.
_PER_TURN = 100


async def clean_up(context: AppContext) -> None:
    """Do one turn: actions whose clean-up or deletion is due, and replays that nothing was heard of."""
    # What one dispatcher has claimed another takes after this time, and so does itself when it failed.
    lease = timedelta(seconds=context.settings.stall_timeout)
    for action in await context.store.actions.claim_due_cleanups(datetime.now(UTC), lease, _PER_TURN):
        with (
            log_context(action=action.id, account=action.account_id),
            continued("clean_up", action.traceparent, {"action": action.id}),
        ):
            await _guarded(action.id, clean_up_action(context, action))
    for erased in await context.store.erased_actions.claim_due_sweeps(datetime.now(UTC), lease, _PER_TURN):
        with log_context(action=erased.id):
            await _guarded(erased.id, sweep_erased(context, erased))
    letters = await context.store.dead_letters.claim_due_replays(datetime.now(UTC), lease, _PER_TURN)
    # What cannot be run now must not be sent in vain. The ends above give memory back to a Redis that is full.
    if letters and not await unavailable(context):
        for letter in letters:
            with log_context(letter=letter.id, action=letter.action_id):
                await _guarded(letter.id, continue_replay(context, letter))


async def _guarded(name: str, step: Awaitable[None]) -> None:
    """One that fails does not keep the others from their turn; its lease gives it another."""
    try:
        await step
    except Exception as error:
        if is_transient(error):
            log.warning("clean-up of %s: trying again later: %r", name, error)
        else:
            log.exception("clean-up of %s failed", name)
