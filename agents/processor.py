"""The processor: runs one chunk, from its byte range to the closed ledger entry.

Read, parse and validate, claim, write by a plan (``app/services/chunk_writing.py``), close the ledger, tell the result:
in that order, so that a crash at any point leaves a chunk that the next delivery finishes with the same outcome.
"""

from __future__ import annotations

import logging
from functools import partial

from app.adapters.redis.claims import ClaimsReleased
from app.context import AppContext
from app.domain.actions import Status
from app.domain.csv.header import Columns
from app.domain.entities import find_entity
from app.domain.faults import PermanentFault
from app.domain.operations import find_operation
from app.domain.outcome_entries import duplicate_of
from app.domain.outcomes import ChunkOutcome, Counts, bit_set
from app.domain.rows import CheckedChunk, check_chunk
from app.kafka.inline_rows import InlineRows
from app.kafka.messages import Chunk, ChunkResult
from app.observability.chunk_timer import ChunkTimer
from app.observability.logs import event
from app.observability.metrics import CHUNKS_IN_HAND, FORGED_CHUNKS, count_rows
from app.observability.tracing import set_attributes
from app.services.arrivals import take_rows
from app.services.chunk_writing import write_rows

log = logging.getLogger(__name__)

#: Statuses of an action in which its chunks run.
_RUNNING = frozenset({Status.OPEN, Status.PROCESSING})
#: Statuses of an action in which no chunk of it is begun.
_NOT_BEGUN = frozenset({Status.PAUSED, Status.CANCELLED})


async def process(message: Chunk | InlineRows, context: AppContext) -> None:
    """Run a chunk, or take the rows of one, which is then sent to be run."""
    if isinstance(message, InlineRows):
        await take_rows(context, message)
    else:
        await run(message, context)


async def run(chunk: Chunk, context: AppContext) -> None:
    """Run a chunk, unless its outcome is known already, and tell the result.

    A chunk that nobody has begun is not begun while its action is paused, and not any more once it is cancelled. Of an
    action that was deleted nothing is run, nor what somebody else has made: producers may write to the topic.
    """
    with CHUNKS_IN_HAND.track_inprogress(), ChunkTimer() as timer:
        await _run_timed(chunk, context, timer)


async def _run_timed(chunk: Chunk, context: AppContext, timer: ChunkTimer) -> None:
    gate = await context.store.actions.gate(chunk.action_id)
    if gate is None:
        if await context.store.erased_actions.knows(chunk.action_id):
            return
        raise PermanentFault(f"no action {chunk.action_id}")
    if gate.chunk_key is not None and not chunk.is_sealed(gate.chunk_key):
        FORGED_CHUNKS.inc()
        log.error(event("forged chunk dropped", action=chunk.action_id, index=chunk.index))
        return
    if gate.status in _NOT_BEGUN and not chunk.replay:
        return
    ledger, chunk_count = context.store.ledger, chunk.source.chunk_count
    with timer.stage("ledger"):
        first_time = await ledger.open(chunk.id)
        entry = None if first_time else await ledger.entry(chunk.id)
    was_dead = False
    if entry is None or (entry.dead and chunk.replay):
        try:
            outcome = await _run(chunk, context, timer, first_time=first_time)
        except ClaimsReleased:
            # The action has ended since. Another delivery has finished this chunk, or nobody shall any more.
            entry = await ledger.entry(chunk.id)
            if entry is None:
                if first_time:
                    await ledger.withdraw(chunk.id)
                return
            if entry.dead and chunk.replay:
                raise PermanentFault("which of its rows are duplicates is not known any more") from None
        else:
            with timer.stage("ledger"):
                entry, was_dead = await ledger.close(chunk.id, outcome)
            count_rows(chunk.source.entity_type, outcome.counts)
            set_attributes({"rows": outcome.row_count, **outcome.counts.to_document()})
    if was_dead:
        # Its rows have been counted as failed: count the whole action again.
        await context.topics.results.send(ChunkResult(action_id=chunk.action_id, chunk_count=chunk_count))
        return
    await context.topics.results.send(ChunkResult.of(chunk.action_id, chunk.index, chunk_count, entry.counts))


async def _run(chunk: Chunk, context: AppContext, timer: ChunkTimer, *, first_time: bool) -> ChunkOutcome:
    entity, operation = find_entity(chunk.source.entity_type), find_operation(chunk.source.action_type)
    if entity is None or operation is None:
        raise PermanentFault(f"no {chunk.source.action_type} of {chunk.source.entity_type}")
    span = chunk.span
    with timer.stage("read"):
        data = await context.storage.read(chunk.source.storage_key, span.start, span.end)
    if len(data) != span.end - span.start:
        raise PermanentFault(f"the stored file ends before byte {span.end}")
    columns = Columns(chunk.source.columns, chunk.source.fields)
    rows_have = columns.part_of(entity, operation)
    source = chunk.source
    with timer.stage("parse"):
        checked = check_chunk(rows_have, columns, data, source.delimiter, span.first_row, source.empty_cells)
    with timer.stage("claim"):
        owners = await _owners(chunk, context, checked)
    duplicates = [duplicate_of(checked.rows[position], owner) for position, owner in owners.items()]
    owned = checked.without(owners) if owners else checked
    written = await write_rows(context, chunk, operation, owned, checked.row_count, timer, first_time=first_time)
    exceptions = sorted([*checked.failures, *duplicates, *written.failures])
    created, updated, unchanged, deleted = map(
        len, (written.created, written.updated, written.unchanged, written.deleted)
    )
    return ChunkOutcome(
        first_row=span.first_row,
        row_count=checked.row_count,
        counts=Counts.of(exceptions, created=created, updated=updated, unchanged=unchanged, deleted=deleted),
        exceptions=exceptions,
        created=bit_set(written.created - span.first_row),
        unchanged=bit_set(written.unchanged - span.first_row),
        deleted=bit_set(written.deleted - span.first_row),
        changed_ids=written.changed_ids,
    )


async def _owners(chunk: Chunk, context: AppContext, checked: CheckedChunk) -> dict[int, int]:
    """Return of each duplicate, by its position, the row that owns its record; the other rows own theirs.

    Raises:
        ClaimsReleased: the action has ended.
    """
    if chunk.replay and (stored := await context.store.ledger.owners(chunk.id)) is not None:
        return {position: stored[row] for position, row in enumerate(checked.rows) if row in stored}
    claim = partial(context.claims.claim, chunk.action_id, chunk.source.row_count, checked.rows, checked.claims)
    try:
        return await claim(state="closed" if chunk.replay else "open")
    except ClaimsReleased:
        # A database that was killed may have lost the end of the action: then it goes on, with its claims.
        action = await context.store.actions.get(chunk.action_id)
        if action is None or action.status not in _RUNNING or not await context.claims.reopen(chunk.action_id):
            raise
        return await claim()
