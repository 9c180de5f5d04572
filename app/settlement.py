"""How an action ends: its counters are the sum of its ledger, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.actions import Status
from app.domain.progress import Progress
from app.messages import chunk_id
from app.platform import Platform


@dataclass(frozen=True, slots=True)
class Fold:
    """What the ledger says of an action: its progress, and how many chunks were given up."""

    progress: Progress
    dead_chunks: int


async def fold_ledger(platform: Platform, action_id: str, chunk_count: int) -> Fold:
    """Rebuild the progress of an action from the closed entries of its ledger."""
    ids = [chunk_id(action_id, index) for index in range(chunk_count)]
    found = await platform.store.ledger.summaries(ids)
    progress = Progress(chunk_count).fold(
        (index, found[name].counts) for index, name in enumerate(ids) if name in found
    )
    return Fold(progress, sum(entry.dead for entry in found.values()))


async def settle(platform: Platform, action_id: str, chunk_count: int) -> Progress:
    """End the action if its ledger is complete; return what the ledger says.

    Settling an action again changes nothing, except after a replayed chunk, whose new counts it takes over.
    """
    fold = await fold_ledger(platform, action_id, chunk_count)
    if fold.progress.complete:
        platform.reporter.forget(action_id)
        counts = fold.progress.counts
        if not await platform.store.actions.move(action_id, Status.COMPLETED, **counts.to_document()):
            await platform.store.actions.correct_counts(action_id, counts)
        await platform.snapshots.drop(action_id)
        if not fold.dead_chunks:
            # A dead chunk that is replayed must still find who owns which record.
            await platform.claims.release(action_id)
    return fold.progress
