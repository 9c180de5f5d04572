"""Which rows of an action own their record, worked out from what is stored.

While an action runs, Redis knows it. Nothing is kept there after the end: of a chunk that was given up, the rows that
are duplicates are stored with its entry in the ledger, so that a replay needs nothing else, however late it comes.

Where the claims are gone and are needed again, they are rebuilt: from the rows that succeeded, from the rows that
others name as the owner, and from the plans of unfinished chunks.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from app.adapters.mongo import Actions
from app.adapters.redis.claims import Claims, ClaimsReleased, ClaimState
from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.dead_letters import Obstacle
from app.domain.operations.plan import ChunkPlan
from app.domain.outcomes import FAILED_AT_RECORD, ChunkOutcome
from app.domain.rows import CheckedChunk
from app.kafka.messages import chunk_id
from app.observability.logs import event
from app.services.chunk_outcomes import recorded_chunks
from app.services.completion import LedgerSummary, summarize_ledger
from app.services.record_comparison import rows_last_written
from app.services.stored_rows import StoredRows

log = logging.getLogger(__name__)


async def store_dead_owners(context: AppContext, action: Action, dead_chunks: Sequence[int]) -> None:
    """Store for each chunk that was given up which of its rows are duplicates, and of which row.

    Its rows claim as they would have done when it ran: a record that no other row owns is theirs, the first's.

    Raises:
        OSError, app.domain.faults.DependencyFault: something is away; doing it again is safe.
    """
    ledger, action_id = context.store.ledger, action.id
    names = {chunk_id(action_id, index): index for index in dead_chunks}
    known = await ledger.with_owners(list(names))
    wanted = [name for name in names if name not in known]
    if not wanted:
        return
    try:
        rows = StoredRows(context.store, context.storage, action)
        index = await rows.index()
    except (ObjectMissing, ValueError) as error:
        log.error(event("dead chunks cannot be replayed", action=action_id, error=repr(error)))
        for name in wanted:
            await context.store.dead_letters.forbid_replay(name, Obstacle.CHUNK_UNREADABLE)
        return
    rebuilt = False
    for name in wanted:
        try:
            checked = await rows.read(index.span(names[name]))
        except (ObjectMissing, ValueError) as error:
            log.error(event("chunk cannot be replayed", action=action_id, name=name, error=repr(error)))
            await context.store.dead_letters.forbid_replay(name, Obstacle.CHUNK_UNREADABLE)
            continue
        try:
            taken = await _claim(context, action, checked, state="closed")
        except ClaimsReleased:
            if rebuilt:
                raise
            await rebuild_claims(context, action)
            await context.claims.close(action_id)
            rebuilt = True
            taken = await _claim(context, action, checked, state="closed")
        await ledger.store_owners(name, {checked.rows[position]: owner for position, owner in taken.items()})


async def forget_claims(actions: Actions, claims: Claims) -> int:
    """Have the claims of all actions under way rebuilt by the next clean-up; return how many these are.

    For a Redis that does not have what was claimed, as after a restore: it would take rows for the first of their
    record that are not. No worker may run meanwhile: a chunk in hand has claims that nothing tells of yet.

    Raises:
        app.domain.faults.DependencyFault: something is away; doing it again is safe.
    """
    count = 0
    async for action in actions.under_way():
        # What is left behind stops everybody from claiming anew; who meets it has them rebuilt.
        await claims.release(action.id)
        await actions.schedule_cleanup(action.id, datetime.now(UTC))
        count += 1
    return count


async def rebuild_claims(context: AppContext, action: Action) -> None:
    """Claim again for all rows that are known to own their record, in place of claims that are gone.

    Raises:
        OSError, app.domain.faults.DependencyFault: something is away; doing it again is safe.
        app.adapters.storage.ObjectMissing, ValueError: the file of the action cannot be read.
    """
    action_id = action.id
    rows = StoredRows(context.store, context.storage, action)
    index = await rows.index()
    log.warning(event("claims are gone, rebuilding them", action=action_id))
    generation = await context.claims.begin_rebuild(action_id)
    summary = await summarize_ledger(context, action_id, action.chunk_count)
    unfinished = _unfinished(summary)
    starts = [span.first_row for span in index.spans(0, len(index))]
    named: set[int] = set()
    async for number, _, span, outcome in recorded_chunks(context.store.ledger, action_id, index):
        if outcome is None or number in unfinished:
            continue
        checked = await rows.read(span)
        await _claim(context, action, _owning(checked, outcome), state="rebuilding")
        owners = (exception.owner for exception in outcome.exceptions if exception.owner is not None)
        named.update(owner for owner in owners if bisect_right(starts, owner) - 1 in unfinished)
    for number in sorted(unfinished):
        name = chunk_id(action_id, number)
        if not index.span(number).rows:
            # It has not come yet.
            continue
        # Whoever runs it from now on must not believe that nobody has written a part of it.
        if not await context.store.ledger.reserve(name) or number in summary.dead_chunks:
            span = index.span(number)
            checked = await rows.read(span)
            owning = await _planned(context, action, checked, name, span.first_row, named)
            await _claim(context, action, owning, state="rebuilding")
    await context.claims.finish_rebuild(action_id, generation)


async def _claim(context: AppContext, action: Action, checked: CheckedChunk, *, state: ClaimState) -> dict[int, int]:
    return await context.claims.claim(action.id, action.expected_rows, checked.rows, checked.claims, state=state)


def _unfinished(summary: LedgerSummary) -> set[int]:
    """Return the chunks that have no outcome, or were given up."""
    missing = summary.progress.missing(summary.progress.chunk_count)
    return {*missing, *summary.dead_chunks}


def _owning(checked: CheckedChunk, outcome: ChunkOutcome) -> CheckedChunk:
    """Return the rows that own their record: those that succeeded, and those that failed only at their record."""
    ownerless = {exception.row for exception in outcome.exceptions if exception.code not in FAILED_AT_RECORD}
    return checked.without({position for position, row in enumerate(checked.rows) if row in ownerless})


async def _planned(
    context: AppContext, action: Action, checked: CheckedChunk, name: str, first_row: int, named: Collection[int]
) -> CheckedChunk:
    """Return the rows of an unfinished chunk that are known to own their record.

    Its plan says which these are. Without a plan nothing has been written, unless version 0.1 has done so: then the
    tags of the records say it.
    """
    packed = await context.store.ledger.plan(name)
    if packed is None:
        owning = await rows_last_written(context.store, action, checked)
    else:
        owning = ChunkPlan.unpack(packed).owning(first_row)
    owning |= set(named)
    return checked.without({position for position, row in enumerate(checked.rows) if row not in owning})
