"""Deleting an action that has ended, with its file, its outcomes and its dead letters. Its records stay.

From one atomic change of its document on nobody is shown it any more, and its clean-up (``app/services/cleanup.py``)
takes away what belongs to it, its document last. Each step can be taken again by anybody: whoever dies in between
leaves a document that is found by its ``cleanupAt``. What somebody still had in hand may be stored behind that, so the
same is swept once more some minutes later; and messages about an action that is known to be gone change nothing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import Action, TransitionRefused
from app.domain.erasure import REMEMBERED, ErasedAction
from app.domain.operations import BULK_DELETE
from app.domain.upload_keys import is_upload_key
from app.kafka.messages import ChunkResult, chunk_id
from app.observability.logs import event

log = logging.getLogger(__name__)

#: How many times STALL_TIMEOUT after the end of an action, or its deletion, nobody has a chunk of it in hand any more.
IN_HAND = 10
#: Objects that are listed at once.
_PER_LOOK = 1000


class NoSuchAction(Exception):
    """The account has no such action, and has had none lately."""


async def delete(context: AppContext, account_id: str, action_id: str) -> None:
    """Begin to delete an action; what is left to do is done by the clean-up. Doing it again changes nothing.

    Raises:
        NoSuchAction: as it says.
        TransitionRefused: it has not ended.
        app.domain.faults.DependencyFault: the database is away.
    """
    actions = context.store.actions
    if not await actions.begin_deletion(action_id, account_id):
        current = await actions.find(action_id, account_id)
        if current is not None and not current.deleting:
            raise TransitionRefused(current.status)
        if current is None and not await context.store.erased_actions.knows(action_id, account_id):
            raise NoSuchAction
    # The only part of it that is shown without it. Where this fails the clean-up does it.
    await context.store.dead_letters.remove_all(action_id)
    await context.store.events.remove_all(action_id)


async def erase(context: AppContext, action: Action) -> None:
    """Take away an action that is being deleted and all that belongs to it, but for its records.

    Raises:
        OSError, TimeoutError, app.domain.faults.DependencyFault: something is away; doing it again is safe.
    """
    store, now = context.store, datetime.now(UTC)
    if action.action_type == BULK_DELETE.name:
        await store.erased_deletions.note(action.account_id, action.entity_type, action.last_change, now)
    erased = ErasedAction(action.id, action.account_id, action.chunk_count)
    await _remove_parts(context, erased)
    # The progress table forgets it.
    await context.topics.results.send(ChunkResult(action_id=action.id, chunk_count=action.chunk_count))
    sweep_at = now + timedelta(seconds=IN_HAND * context.settings.stall_timeout)
    await store.erased_actions.add(erased, sweep_at, now + REMEMBERED)
    await store.actions.remove(action.id)
    log.info(event("action erased", action=action.id, account=action.account_id))


async def sweep_erased(context: AppContext, erased: ErasedAction) -> None:
    """Take away what came too late for the deletion of its action; raises as :func:`erase`."""
    await _remove_parts(context, erased)
    await context.store.erased_actions.finish_sweep(erased.id)


async def _remove_parts(context: AppContext, erased: ErasedAction) -> None:
    await context.store.dead_letters.remove_all(erased.id)
    await context.store.events.remove_all(erased.id)
    await context.store.ledger.remove([chunk_id(erased.id, index) for index in range(erased.chunk_count)])
    await context.store.stream_chunks.remove_all(erased.id)
    await context.claims.release(erased.id)
    await context.snapshots.drop(erased.id)
    await _remove_objects(context, erased.id)
    # Last, because this may be away for long.
    if context.index is not None:
        await context.index.remove(erased.id)


async def _remove_objects(context: AppContext, action_id: str) -> None:
    """Delete all that is stored for an action, its file and whatever lies beside it."""
    below, after = f"{action_id}/", ""
    while found := await context.storage.objects(after, _PER_LOOK, below=below):
        for key in (stored.key for stored in found):
            # What somebody else keeps in the same place stays.
            if is_upload_key(key):
                await context.storage.delete(key)
        after = found[-1].key
