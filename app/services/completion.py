"""How an action ends: its counters are the sum of its ledger, and nothing else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import PLATFORM, Action, Status
from app.domain.progress import Progress
from app.domain.retention import retained_until
from app.kafka.messages import chunk_id
from app.observability.logs import event
from app.observability.metrics import ACTIONS_ENDED, entity_label
from app.observability.tracing import span
from app.services.sealing import settle_ended

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """What the ledger says of an action: its progress, and which chunks were given up.

    ``version`` grows with each entry that is closed and with each dead one that is replaced: counters of a lower
    version are older.
    """

    progress: Progress
    dead_chunks: tuple[int, ...]
    version: int


async def summarize_ledger(context: AppContext, action_id: str, chunk_count: int) -> LedgerSummary:
    """Rebuild the progress of an action from the closed entries of its ledger."""
    ids = [chunk_id(action_id, index) for index in range(chunk_count)]
    found = await context.store.ledger.summaries(ids)
    progress = Progress(chunk_count).fold(
        (index, found[name].counts) for index, name in enumerate(ids) if name in found
    )
    dead = tuple(index for index, name in enumerate(ids) if name in found and found[name].dead)
    return LedgerSummary(progress, dead, version=2 * len(found) - len(dead))


async def recount(context: AppContext, action_id: str, chunk_count: int) -> LedgerSummary:
    """Write what the ledger says into the counters of an action that has ended, unless they are newer."""
    summary = await summarize_ledger(context, action_id, chunk_count)
    await context.store.actions.correct_counts(action_id, summary.progress.counts, summary.version)
    return summary


async def end_action(
    context: AppContext,
    action_id: str,
    status: Status,
    summary: LedgerSummary,
    *,
    by: str = PLATFORM,
    reason: str | None = None,
) -> Action | None:
    """End an action with the counters of its ledger; return it, or None when its status does not allow it (any more).

    It is durable before anything else is: from then on no row may claim. What its end leaves to do is done later
    (``app/services/cleanup.py``).
    """
    context.reporter.forget(action_id)
    now, settings = datetime.now(UTC), context.settings
    with span("end action", {"action": action_id, "status": status, **summary.progress.counts.to_document()}):
        moved = await context.store.actions.end(
            action_id,
            status,
            summary.progress.counts,
            summary.version,
            cleanup_at=now + timedelta(seconds=settings.claims_release_after),
            retained_until=retained_until(now, settings.retention_days),
            by=by,
            reason=reason,
            at=now,
        )
    if moved is not None:
        if moved.takes_chunks:
            moved = await settle_ended(context.store, moved)
        log.log(logging.ERROR if status == Status.FAILED else logging.INFO, _ended(moved))
        ACTIONS_ENDED.labels(status, entity_label(moved.entity_type)).inc()
    elif (current := await context.store.actions.get(action_id)) is None or not current.ended:
        # It is paused: its rows are to claim later.
        return None
    await context.claims.close(action_id)
    await context.snapshots.drop(action_id)
    return moved


def _ended(action: Action) -> str:
    """Return the line of the log for an action that has just ended."""
    began, ended, counts = action.started_at, action.completed_at, action.counts
    return event(
        "action ended",
        action=action.id,
        account=action.account_id,
        status=action.status,
        rows=action.total_count,
        seconds=(ended - began).total_seconds() if began and ended else None,
        success=counts.success,
        failure=counts.failure,
        skipped=counts.skipped,
        error=action.error,
    )


async def complete_if_done(context: AppContext, action_id: str, chunk_count: int) -> LedgerSummary:
    """End the action if its ledger is complete; return what the ledger says.

    To complete an action again changes nothing, except after a replayed chunk, whose new counts it takes over.
    """
    summary = await summarize_ledger(context, action_id, chunk_count)
    if summary.progress.complete and not await end_action(context, action_id, Status.COMPLETED, summary):
        await context.store.actions.correct_counts(action_id, summary.progress.counts, summary.version)
    return summary
