"""Stopping an action before it gets worse: it is paused when more of its rows have failed than may."""

from __future__ import annotations

import heapq
import logging
from collections import Counter

from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.failure_limits import CommonFailure, FailureLimit, stop_reason
from app.domain.outcomes import ChunkOutcome, Counts, RowOutcome
from app.kafka.messages import chunk_id
from app.observability.logs import event
from app.services.stored_rows import StoredRows

log = logging.getLogger(__name__)

#: Chunks that are looked at to find out what is wrong most often, those with most failures; and kinds that are told.
_CHUNKS, _KINDS = 8, 3


async def pause_for_failures(context: AppContext, action_id: str, limit: FailureLimit, counts: Counts) -> bool:
    """Pause an action that has exceeded its limit, with the reason; it does that once, and resumed it goes on.

    Returns whether it was paused by this.
    """
    action = await context.store.actions.get(action_id)
    if action is None:
        return False
    common = tuple(await _most_common(context, action))
    moved = await context.store.actions.pause_for_failures(action_id, stop_reason(limit, counts, common), common)
    if moved is not None:
        log.warning(event("action paused", action=action_id, account=moved.account_id, failure=counts.failure))
    return moved is not None


async def _most_common(context: AppContext, action: Action) -> list[CommonFailure]:
    """Return the kinds of failures that are most frequent in the chunks that have most of them."""
    ledger = context.store.ledger
    names = {chunk_id(action.id, index): index for index in range(action.chunk_count)}
    entries = await ledger.summaries(list(names))
    worst = heapq.nlargest(_CHUNKS, entries, key=lambda name: entries[name].counts.failure)
    outcomes = await ledger.outcomes(worst)
    found: Counter[tuple[str, str | None]] = Counter()
    first: dict[tuple[str, str | None], int] = {}
    for name, outcome in sorted(outcomes.items(), key=lambda item: item[1].first_row):
        for failure in await _failures(context, action, names[name], outcome):
            kind = failure.code, failure.column
            found[kind] += 1
            first.setdefault(kind, failure.row)
    return [CommonFailure(*kind, count, first[kind]) for kind, count in found.most_common(_KINDS)]


async def _failures(context: AppContext, action: Action, index: int, outcome: ChunkOutcome) -> list[RowOutcome]:
    """Return the failures of a chunk, with the columns that are wrong where its file tells."""
    failures = [entry for entry in outcome.exceptions if entry.status == "FAILED"]
    try:
        return await StoredRows(context.store, context.storage, action).explain(index, failures)
    except (ObjectMissing, ValueError) as error:
        log.warning(event("failures cannot be looked up", action=action.id, error=repr(error)))
        return failures
