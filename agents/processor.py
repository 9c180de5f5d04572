"""The processor: runs one chunk, from its byte range to the closed ledger entry.

Read, parse and validate, claim, write, close the ledger, tell the result: in that order, so that a crash at
any point leaves a chunk that the next delivery finishes with the same outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agents.faults import PermanentFault
from app.adapters.claims import ClaimsReleased
from app.domain.entities import Columns, Entity, find_entity
from app.domain.outcomes import WRITE_REFUSED, ChunkOutcome, Counts, RowOutcome
from app.domain.rows import CheckedChunk, check_chunk
from app.messages import Chunk, ChunkResult
from app.platform import Platform


async def process(chunk: Chunk, platform: Platform) -> None:
    """Run a chunk, unless its outcome is known already, and tell the result."""
    ledger, chunk_count = platform.store.ledger, chunk.source.chunk_count
    first_time = await ledger.open(chunk.id)
    entry = None if first_time else await ledger.entry(chunk.id)
    was_dead = False
    if entry is None or (entry.dead and chunk.replay):
        try:
            outcome = await _run(chunk, platform, first_time=first_time)
        except ClaimsReleased:
            # The action has ended since. Another delivery has finished this chunk, or nobody shall any more.
            entry = await ledger.entry(chunk.id)
            if entry is None:
                return
        else:
            entry, was_dead = await ledger.close(chunk.id, outcome)
    if was_dead:
        # Its rows have been counted as failed: count the whole action again.
        await platform.topics.results.send(ChunkResult(action_id=chunk.action_id, chunk_count=chunk_count))
        return
    await platform.topics.results.send(ChunkResult.of(chunk.action_id, chunk.index, chunk_count, entry.counts))


async def _run(chunk: Chunk, platform: Platform, *, first_time: bool) -> ChunkOutcome:
    entity = find_entity(chunk.source.entity_type)
    if entity is None:
        raise PermanentFault(f"no entity {chunk.source.entity_type}")
    span = chunk.span
    data = await platform.storage.read(chunk.source.storage_key, span.start, span.end)
    if len(data) != span.end - span.start:
        raise PermanentFault(f"the stored file ends before byte {span.end}")
    checked = check_chunk(entity, Columns(chunk.source.columns), data, chunk.source.delimiter, span.first_row)
    owners = await platform.claims.claim(chunk.action_id, _key_values(entity, checked))
    duplicates = [
        RowOutcome(
            checked.rows[position],
            "SKIPPED",
            "DUPLICATE",
            f"Row {owner} of this file has the same record.",
            owner=owner,
        )
        for position, owner in owners.items()
    ]
    rows = [row for position, row in enumerate(checked.rows) if position not in owners]
    records = [record for position, record in enumerate(checked.records) if position not in owners]
    created, refused = await _write(chunk, platform, entity, rows, records, first_time=first_time)
    failures = [RowOutcome(row, "FAILED", WRITE_REFUSED, message[:200]) for row, message in refused.items()]
    exceptions = sorted([*checked.failures, *duplicates, *failures])
    updated = len(rows) - len(created) - len(refused)
    created_bits = 0
    for row in created:
        created_bits |= 1 << row - span.first_row
    return ChunkOutcome(
        first_row=span.first_row,
        row_count=checked.row_count,
        counts=Counts.of(exceptions, created=len(created), updated=updated),
        exceptions=exceptions,
        created=created_bits,
    )


def _key_values(entity: Entity, checked: CheckedChunk) -> list[tuple[str, ...]]:
    """Return what each valid row claims: its number, then its key values."""
    key, unique = entity.key, entity.unique
    pairs = zip(checked.rows, checked.records, strict=True)
    if unique is None:
        return [(str(row), "k:" + record[key]) for row, record in pairs]
    return [(str(row), "k:" + record[key], "u:" + record[unique]) for row, record in pairs]


async def _write(
    chunk: Chunk,
    platform: Platform,
    entity: Entity,
    rows: Sequence[int],
    records: Sequence[Mapping[str, Any]],
    *,
    first_time: bool,
) -> tuple[list[int], dict[int, str]]:
    """Upsert records. Returns the rows that made a new record, and the rows refused with the reason.

    Whether a row made a record is taken from the server's answer only while nobody else has run this chunk;
    otherwise the records themselves say which action created them.
    """
    account, action = chunk.source.account_id, chunk.action_id
    ids = [f"{account}:{record[entity.key]}" for record in records]
    overtaken: set[int] = set()
    if not first_time:
        present = await platform.store.records.find(entity.collection, ids, ["_bulk"])
        overtaken = {position for position, _id in enumerate(ids) if _is_newer(present.get(_id), chunk)}
    tag = {
        "actionId": action,
        "startedAt": chunk.source.started_at,
        "status": "SUCCESS",
        "at": datetime.now(UTC),
    }
    positions = [position for position in range(len(ids)) if position not in overtaken]
    statements = [
        {
            "q": {"_id": ids[position]},
            "u": {
                "$set": {
                    "accountId": account,
                    **records[position],
                    "_bulk": {**tag, "row": rows[position]},
                },
                "$setOnInsert": {"createdBy": action},
            },
            "upsert": True,
        }
        for position in positions
    ]
    written = await platform.store.records.upsert(entity.collection, statements)
    refused = {rows[positions[index]]: message for index, message in written.refused.items()}
    if first_time and await platform.store.ledger.opened_once(chunk.id):
        return [rows[positions[index]] for index in sorted(written.created)], refused
    after = await platform.store.records.find(entity.collection, ids, ["createdBy"])
    created = [
        row
        for row, _id in zip(rows, ids, strict=True)
        if row not in refused and after.get(_id, {}).get("createdBy") == action
    ]
    return created, refused


def _is_newer(record: Mapping[str, Any] | None, chunk: Chunk) -> bool:
    """Tell whether a record was last written by an action that started after the chunk's own."""
    tag = (record or {}).get("_bulk", {})
    if "startedAt" not in tag:
        return False
    newer: bool = (tag["startedAt"], tag["actionId"]) > (chunk.source.started_at, chunk.action_id)
    return newer
