"""The processor: runs one chunk, from its byte range to the closed ledger entry.

Read, parse and validate, claim, write, close the ledger, tell the result: in that order, so that a crash at
any point leaves a chunk that the next delivery finishes with the same outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from agents.faults import PermanentFault
from app.adapters.mongo.records import Written
from app.adapters.mongo.statements import Upserts
from app.adapters.redis.claims import ClaimsReleased
from app.context import AppContext
from app.domain.actions import Status
from app.domain.entities import Columns, Entity, find_entity
from app.domain.outcome_entries import duplicate_of
from app.domain.outcomes import WRITE_REFUSED, ChunkOutcome, Counts, RowOutcome, bit_set
from app.domain.rows import CheckedChunk, check_chunk
from app.kafka.messages import Chunk, ChunkResult


async def process(chunk: Chunk, context: AppContext) -> None:
    """Run a chunk, unless its outcome is known already, and tell the result."""
    ledger, chunk_count = context.store.ledger, chunk.source.chunk_count
    first_time = await ledger.open(chunk.id)
    entry = None if first_time else await ledger.entry(chunk.id)
    was_dead = False
    if entry is None or (entry.dead and chunk.replay):
        try:
            outcome = await _run(chunk, context, first_time=first_time)
        except ClaimsReleased:
            # The action has ended since. Another delivery has finished this chunk, or nobody shall any more.
            entry = await ledger.entry(chunk.id)
            if entry is None:
                return
            if entry.dead and chunk.replay:
                raise PermanentFault("which of its rows are duplicates is not known any more") from None
        else:
            entry, was_dead = await ledger.close(chunk.id, outcome)
    if was_dead:
        # Its rows have been counted as failed: count the whole action again.
        await context.topics.results.send(ChunkResult(action_id=chunk.action_id, chunk_count=chunk_count))
        return
    await context.topics.results.send(ChunkResult.of(chunk.action_id, chunk.index, chunk_count, entry.counts))


async def _run(chunk: Chunk, context: AppContext, *, first_time: bool) -> ChunkOutcome:
    entity = find_entity(chunk.source.entity_type)
    if entity is None:
        raise PermanentFault(f"no entity {chunk.source.entity_type}")
    span = chunk.span
    data = await context.storage.read(chunk.source.storage_key, span.start, span.end)
    if len(data) != span.end - span.start:
        raise PermanentFault(f"the stored file ends before byte {span.end}")
    columns = Columns(chunk.source.columns, chunk.source.fields)
    checked = check_chunk(entity, columns, data, chunk.source.delimiter, span.first_row)
    owners = await _owners(chunk, context, checked)
    duplicates = [duplicate_of(checked.rows[position], owner) for position, owner in owners.items()]
    owned = checked.without(owners) if owners else checked
    created, refused = await _write(chunk, context, owned, first_time=first_time)
    failures = [
        RowOutcome(row, "FAILED", WRITE_REFUSED, f"The database did not take this record: {reason}.")
        for row, reason in refused.items()
    ]
    exceptions = sorted([*checked.failures, *duplicates, *failures])
    updated = len(owned.rows) - len(created) - len(refused)
    return ChunkOutcome(
        first_row=span.first_row,
        row_count=checked.row_count,
        counts=Counts.of(exceptions, created=len(created), updated=updated),
        exceptions=exceptions,
        created=bit_set(row - span.first_row for row in created),
    )


async def _owners(chunk: Chunk, context: AppContext, checked: CheckedChunk) -> dict[int, int]:
    """Return of each duplicate, by its position, the row that owns its record; the other rows own theirs.

    Raises:
        ClaimsReleased: the action has ended.
    """
    if chunk.replay and (stored := await context.store.ledger.owners(chunk.id)) is not None:
        return {position: stored[row] for position, row in enumerate(checked.rows) if row in stored}
    columns = [checked.column(field) for field in checked.entity.key_fields]
    claim = partial(context.claims.claim, chunk.action_id, chunk.source.row_count, checked.rows, columns)
    try:
        return await claim(state="closed" if chunk.replay else "open")
    except ClaimsReleased:
        # A database that was killed may have lost the end of the action: then it goes on, with its claims.
        action = await context.store.actions.get(chunk.action_id)
        if action is None or action.status != Status.PROCESSING or not await context.claims.reopen(chunk.action_id):
            raise
        return await claim()


async def _write(
    chunk: Chunk, context: AppContext, owned: CheckedChunk, *, first_time: bool
) -> tuple[list[int], dict[int, str]]:
    """Upsert records. Returns the rows that made a new record, and the rows refused with the reason.

    Whether a row made a record is taken from the server's answer only while nobody else has run this chunk;
    otherwise the records themselves say which action created them.
    """
    entity, records, action = owned.entity, context.store.records, chunk.action_id
    prefix = f"{chunk.source.account_id}:"
    stale = owned
    if not first_time:
        ids = [prefix + key for key in owned.column(entity.key)]
        present = await records.find(entity.collection, ids, ["_bulk"])
        overtaken = {position for position, _id in enumerate(ids) if _is_newer(present.get(_id), chunk)}
        stale = owned.without(overtaken)
    # In the order of their ids: where a command is a transaction, two in opposite order would wait for each other.
    stale = stale.sorted_by(entity.key)
    statements = _upserts(chunk, entity).statements(stale.rows, stale.columns)
    # What has failed although everything answers may be due to some of its rows.
    written = await records.upsert(entity.collection, statements, isolate=chunk.attempt > 0)
    reasons = {**written.refused, **await _given_up(chunk, context, written)}
    refused = {stale.rows[index]: reason for index, reason in reasons.items()}
    if first_time and await context.store.ledger.opened_once(chunk.id):
        return [stale.rows[index] for index in written.created], refused
    ids = [prefix + key for key in owned.column(entity.key)]
    after = await records.find(entity.collection, ids, ["createdBy"])
    created = [
        row
        for row, _id in zip(owned.rows, ids, strict=True)
        if row not in refused and after.get(_id, {}).get("createdBy") == action
    ]
    return created, refused


async def _given_up(chunk: Chunk, context: AppContext, written: Written) -> dict[int, str]:
    """Return the statements that failed alone and are not to be tried again, with the reason.

    Raises:
        app.domain.faults.PassingFault: there are some that have not been tried often enough, or nothing shows that it
            is them and not the server.
    """
    if not written.failed:
        return {}
    fault = next(iter(written.failed.values()))
    if chunk.attempt < len(context.topics.retries):
        raise fault
    if not written.count:
        if len(written.failed) > 1:
            raise fault
        await context.store.check_write()
    return dict.fromkeys(written.failed, "it could not be written, although others could")


def _upserts(chunk: Chunk, entity: Entity) -> Upserts:
    source = chunk.source
    return Upserts(
        account_id=source.account_id,
        fields=entity.columns,
        key=entity.columns.index(entity.key),
        always={"accountId": source.account_id},
        tag={
            "actionId": chunk.action_id,
            "startedAt": source.started_at,
            "status": "SUCCESS",
            "at": datetime.now(UTC),
        },
        on_insert={"createdBy": chunk.action_id},
    )


def _is_newer(record: Mapping[str, Any] | None, chunk: Chunk) -> bool:
    """Tell whether a record was last written by an action that started after the chunk's own."""
    tag = (record or {}).get("_bulk", {})
    if "startedAt" not in tag:
        return False
    newer: bool = (tag["startedAt"], tag["actionId"]) > (chunk.source.started_at, chunk.action_id)
    return newer
