"""The ledger of an action from chunk to chunk: only entries that have what is asked for are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from app.context import AppContext
from app.domain.actions import Action
from app.domain.outcomes import ChunkOutcome, Counts, RowStatus
from app.kafka.messages import chunk_id

#: Most chunks whose counts, and whose outcomes, are read in one query. The first queries are smaller, because whoever
#: asks often has enough by then.
_COUNTS_PER_READ, _OUTCOMES_PER_READ = 1000, 16


async def outcomes_with(
    context: AppContext, action: Action, statuses: Collection[RowStatus] | None, *, first: int = 0
) -> AsyncIterator[tuple[int, ChunkOutcome]]:
    """Return the closed ledger entries that have rows of any of these statuses, from chunk ``first`` on, in order."""
    async for batch in batches_with(context, action, statuses, first=first):
        for entry in batch:
            yield entry


async def batches_with(
    context: AppContext, action: Action, statuses: Collection[RowStatus] | None, *, first: int = 0
) -> AsyncIterator[list[tuple[int, ChunkOutcome]]]:
    """Return them as they are read."""
    async for indexes in chunks_with(context, action, statuses, first):
        size, start = 2, 0
        while start < len(indexes):
            batch = indexes[start : start + size]
            start, size = start + size, min(size * 2, _OUTCOMES_PER_READ)
            found = await context.store.ledger.outcomes([chunk_id(action.id, index) for index in batch])
            entries = ((index, found.get(chunk_id(action.id, index))) for index in batch)
            yield [(index, outcome) for index, outcome in entries if outcome is not None]


async def chunks_with(
    context: AppContext, action: Action, statuses: Collection[RowStatus] | None, first: int
) -> AsyncIterator[list[int]]:
    """Return the indexes of the chunks that have such rows, in order; told by their counts alone."""
    start, size = first, 32
    while start < action.chunk_count:
        indexes = range(start, min(start + size, action.chunk_count))
        start, size = indexes.stop, min(size * 4, _COUNTS_PER_READ)
        if statuses is None:
            yield list(indexes)
            continue
        found = await context.store.ledger.summaries([chunk_id(action.id, index) for index in indexes])
        entries = ((index, found.get(chunk_id(action.id, index))) for index in indexes)
        yield [index for index, entry in entries if entry is not None and _has(entry.counts, statuses)]


def _has(counts: Counts, statuses: Collection[RowStatus]) -> bool:
    numbers: dict[RowStatus, int] = {
        "SUCCESS": counts.success,
        "FAILED": counts.failure,
        "SKIPPED": counts.skipped,
    }
    return any(numbers[status] for status in statuses)
