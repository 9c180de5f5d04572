"""How an action ends: its counters are the sum of its ledger, and nothing else."""

from __future__ import annotations

from app.domain.actions import Status
from app.domain.progress import Progress
from app.messages import chunk_id
from app.platform import Platform


async def fold_ledger(platform: Platform, action_id: str, chunk_count: int) -> Progress:
    """Rebuild the progress of an action from the closed entries of its ledger."""
    ids = [chunk_id(action_id, index) for index in range(chunk_count)]
    found = await platform.store.ledger.counts(ids)
    return Progress(chunk_count).fold((index, found[name]) for index, name in enumerate(ids) if name in found)


async def settle(platform: Platform, action_id: str, chunk_count: int) -> Progress:
    """End the action if its ledger is complete; return what the ledger says.

    An action that has ended already stays as it is, so that settling twice changes nothing.
    """
    progress = await fold_ledger(platform, action_id, chunk_count)
    if progress.complete:
        platform.reporter.forget(action_id)
        await platform.store.actions.move(action_id, Status.COMPLETED, **progress.counts.to_document())
        await platform.snapshots.drop(action_id)
        await platform.claims.release(action_id)
    return progress
