"""When an action runs: it is announced to the feeder, at its time, and its chunks again where they were lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.access import Principal
from app.domain.account_events import dispatch_failed
from app.domain.actions import Action, Status, initial_status
from app.domain.progress import Progress
from app.domain.public_faults import public_text
from app.domain.schedules import dispatch_pause, longest_pause
from app.domain.stalls import StallReview, review
from app.kafka.messages import ChunkResult, Feed, chunk_id
from app.kafka.topics import SEND_TIMEOUT
from app.observability.dependencies import unavailable
from app.observability.logs import event, log_context
from app.observability.metrics import REISSUES
from app.observability.tracing import continued
from app.observability.tracing import enabled as traced
from app.services.completion import LedgerSummary, complete_if_done, end_action
from app.services.transitions import moved_or_refused

log = logging.getLogger(__name__)

#: Actions looked at in one turn, for each reason.
_PER_TURN = 100
#: Actions that are announced together.
_PER_BATCH = 500
#: Longest that a request waits for the broker, seconds; the dispatcher announces what did not arrive.
ANNOUNCE_TIMEOUT = 1.0


def first_pause(context: AppContext) -> timedelta:
    """Return how long an announcement has before the action is announced again."""
    return timedelta(seconds=context.settings.requeue_after)


async def announce(context: AppContext, action_id: str, *, timeout: float = SEND_TIMEOUT) -> bool:
    """Tell the feeder that an action is queued; where that fails the action says why, and the dispatcher tries again.

    Returns whether the broker has it.
    """
    return not await _announce_all(context, [action_id], timeout)


async def start_due(context: AppContext, now: datetime) -> None:
    """Queue and announce the scheduled actions whose time has come, the earliest first, until none is left."""
    while not context.should_yield():
        claimed = await context.store.actions.claim_schedules(now, now + first_pause(context), _PER_BATCH)
        if claimed.ids:
            log.info(event("scheduled actions queued", count=len(claimed.ids)))
        if not claimed.found or await _announce_all(context, claimed.ids):
            return


async def announce_queued(context: AppContext, now: datetime) -> None:
    """Announce actions (again) that were queued a while ago and that no feeder has seen, after pauses that double."""
    first = first_pause(context)
    while not context.should_yield():
        claimed = await context.store.actions.claim_queued(
            now,
            lambda attempts: now + dispatch_pause(first, attempts),
            now + longest_pause(first),
            _PER_BATCH,
        )
        for action_id in claimed.ids:
            log.info(event("action still queued, announcing it again", action=action_id))
        if not claimed.found or await _announce_all(context, claimed.ids):
            return


async def _announce_all(context: AppContext, action_ids: Sequence[str], timeout: float = SEND_TIMEOUT) -> list[str]:
    """Announce actions together; return those that the broker may not have, each of which says why."""
    traces = await context.store.actions.traceparents(action_ids) if traced() else {}

    async def send(action_id: str) -> None:
        with continued("announce", traces.get(action_id), {"action": action_id}):
            await context.topics.feed.send(Feed.announce(action_id), timeout=timeout)

    outcomes = await asyncio.gather(*map(send, action_ids), return_exceptions=True)
    failed: dict[str, list[str]] = {}
    for action_id, outcome in zip(action_ids, outcomes, strict=True):
        if isinstance(outcome, Exception):
            log.warning(event("action not announced, trying again later", action=action_id, error=repr(outcome)))
            failed.setdefault(public_text(outcome), []).append(action_id)
        elif isinstance(outcome, BaseException):
            raise outcome
    for error, ids in failed.items():
        await context.store.actions.record_dispatch_failure(ids, error)
        for action in await context.store.actions.some(ids):
            context.event_log.note(dispatch_failed(action.account_id, action.id, error))
    return [action_id for ids in failed.values() for action_id in ids]


async def reschedule(context: AppContext, action: Action, at: datetime | None, principal: Principal) -> Action:
    """Move a scheduled action to another time, or queue it at once where that is None or past; return it as it is then.

    Raises:
        TransitionRefused: it is not scheduled (any more).
        app.domain.faults.DependencyFault: the database is away.
    """
    actions, now = context.store.actions, datetime.now(UTC)
    if at is not None and initial_status(at, now) == Status.SCHEDULED:
        moved = await actions.reschedule(action.id, at, by=principal.name)
    else:
        moved = await actions.queue_now(action.id, at, now + first_pause(context), by=principal.name)
        if moved is not None:
            await announce(context, action.id, timeout=ANNOUNCE_TIMEOUT)
    return await moved_or_refused(context, action, moved)


async def review_stalled(context: AppContext) -> None:
    """Send missing chunks again of actions that have had no result for a while, at most a window of them.

    An action that stalls too often in a row, without a single new result, is FAILED with the reason.
    """
    before = datetime.now(UTC) - timedelta(seconds=context.settings.stall_timeout)
    idle = await context.store.actions.claim_unchanged(Status.PROCESSING, before, _PER_TURN)
    # While something is away nothing can move, and that is nobody's stall.
    if idle and not await unavailable(context):
        for action in idle:
            with (
                log_context(action=action.id, account=action.account_id),
                continued("review", action.traceparent, {"action": action.id, "stalls": action.stalls}),
            ):
                await _review(context, action)


async def _review(context: AppContext, action: Action) -> None:
    summary = await complete_if_done(context, action.id, action.chunk_count)
    if not summary.progress.complete:
        missing = summary.progress.missing(context.settings.feed_window)
        await send_missing(context, action, summary, missing)


async def send_missing(context: AppContext, action: Action, summary: LedgerSummary, missing: Sequence[int]) -> None:
    """Send those of the missing chunks of an action again that seem to be lost, unless it has stalled too often.

    Args:
        context: The platform.
        action: The action, which has had no result for a while.
        summary: What its ledger says.
        missing: Chunks without a result, in order, of as many as may be in flight.
    """
    settings, actions, results = context.settings, context.store.actions, context.topics.results
    progress = summary.progress
    if await context.claims.are_gone(action.id):
        # It had ended, and the database has lost that; or its claims were too old.
        log.warning(event("action under way without its claims", action=action.id))
        await actions.schedule_cleanup(action.id, datetime.now(UTC))
        return
    now, stall_timeout = datetime.now(UTC), timedelta(seconds=settings.stall_timeout)
    moving = await actions.any_progress_since(now - stall_timeout)
    found = await _missing_chunks(context, action, missing, now, moving=moving)
    done, stalls = progress.counted_chunks, _stalls(action, progress, found, moving=moving)
    # The progress table forgets what it has counted: what comes late is counted from the ledger, or in the action.
    recount = ChunkResult(action_id=action.id, chunk_count=action.chunk_count)
    if stalls > settings.action_max_stalls:
        reason = (
            f"No progress in {settings.action_max_stalls} attempts: "
            f"{action.chunk_count - done} of {action.chunk_count} chunks have no result."
        )
        await end_action(context, action.id, Status.FAILED, summary, reason=reason)
        await results.send(recount)
        return
    if found.send:
        log.warning(
            event(
                "no result for a while, sending chunks again",
                action=action.id,
                account=action.account_id,
                done=done,
                chunks=action.chunk_count,
                sent=len(found.send),
            )
        )
        await context.topics.feed.send(Feed(action_id=action.id, indexes=tuple(found.send)))
        REISSUES.inc(len(found.send))
    await results.send(recount)
    await actions.record_stall(action.id, stalls, done, found.reissues)


async def _missing_chunks(
    context: AppContext, action: Action, missing: Sequence[int], now: datetime, *, moving: bool
) -> StallReview:
    """Decide which missing chunks are to be sent again."""
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
