"""Which records have been deleted: a deletion leaves nothing behind, so that is found in the actions that delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime

from app.adapters.mongo import Store
from app.adapters.storage import ObjectMissing, Storage
from app.domain.actions import Action
from app.domain.csv.spans import Span
from app.domain.operations import BULK_DELETE, Decision
from app.domain.operations.plan import ChunkPlan
from app.domain.outcomes import ChunkOutcome
from app.services.chunk_outcomes import recorded_chunks
from app.services.stored_rows import StoredRows


async def deleted_by_others(store: Store, storage: Storage, action: Action, record_ids: Collection[str]) -> set[str]:
    """Return those of some records that other actions have deleted since an action started, or may have.

    What a chunk without an outcome has deleted is told by its plan. Where an action is gone that has deleted any since
    then, it may have deleted all of them.
    """
    missing, gone = set(record_ids), set[str]()
    began = action.started_at or action.created_at
    async for other in store.actions.of_type(action.account_id, action.entity_type, BULK_DELETE.name):
        if not missing:
            break
        if other.id == action.id or (other.ended and other.last_change < began):
            continue
        async for deleted in _deleted_by(store, storage, other):
            gone |= missing & deleted
            missing -= deleted
    if missing:
        until = await store.erased_deletions.until(action.account_id, action.entity_type, datetime.now(UTC))
        if until is not None and until >= began:
            return set(record_ids)
    return gone


async def _deleted_by(store: Store, storage: Storage, action: Action) -> AsyncIterator[set[str]]:
    """Return the records that an action has deleted, chunk by chunk; none where its file is not stored any more."""
    try:
        rows = StoredRows(store, storage, action)
        index = await rows.index()
        async for _, name, span, outcome in recorded_chunks(store.ledger, action.id, index):
            if deleted := await _deleted_rows(store, name, outcome, span):
                checked = await rows.read(span)
                keys = zip(checked.rows, checked.column(rows.entity.key), strict=True)
                yield {f"{action.account_id}:{key}" for row, key in keys if row in deleted}
    except (ObjectMissing, ValueError):
        return


async def _deleted_rows(store: Store, name: str, outcome: ChunkOutcome | None, span: Span) -> set[int]:
    """Return the rows of a chunk that have deleted their record; without an outcome, those that were to."""
    if outcome is not None and not outcome.given_up:
        return outcome.deleted_rows()
    packed = await store.ledger.plan(name)
    return set() if packed is None else ChunkPlan.unpack(packed).having(Decision.DELETE, span.first_row)
