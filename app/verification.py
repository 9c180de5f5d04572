"""Recounting actions from what lies underneath: the file, the ledger and the records.

Nothing here trusts a counter: the stored file is parsed again, its outcomes are compared with the ledger row
by row, the ledger with the action document, and the records with the rows that own them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from app.adapters.storage import ObjectMissing, Storage
from app.adapters.store import Store
from app.domain.actions import ENDED, Status
from app.domain.csv_spans import Span, SpanIndex
from app.domain.dead_letters import CODE as DEAD_LETTER
from app.domain.entities import Columns, Entity, find_entity
from app.domain.outcomes import WRITE_REFUSED, ChunkOutcome, Counts
from app.domain.rows import CheckedChunk, check_chunk
from app.messages import chunk_id

#: Chunks read from the ledger in one query.
_CHUNKS_PER_READ = 32
#: A row that failed only when it was written has claimed its record before, and keeps it.
_OWNS_ALL_THE_SAME = frozenset({DEAD_LETTER, WRITE_REFUSED})
#: Block for hashing the stored file, bytes.
_BLOCK = 1024 * 1024


async def verify(store: Store, storage: Storage, action: dict[str, Any]) -> AsyncIterator[str]:
    """Yield a sentence for each difference between an action and what lies underneath."""
    if action["status"] not in ENDED:
        yield f"not ended: it is {action['status']}"
        return
    try:
        index = SpanIndex.from_bytes(await storage.read(action["spansKey"]))
    except (ObjectMissing, ValueError) as error:
        yield f"its span index cannot be read: {error}"
        return
    if index.row_count != action["totalCount"]:
        yield f"the file has {index.row_count} rows, totalCount is {action['totalCount']}"
    async for difference in _verify_file(storage, action):
        yield difference
    total = Counts()
    ownerless: set[int] = set()
    owners: dict[int, int] = {}
    for first in range(0, len(index), _CHUNKS_PER_READ):
        spans = index.spans(first, _CHUNKS_PER_READ)
        names = [chunk_id(action["_id"], first + offset) for offset in range(len(spans))]
        outcomes = await store.ledger.outcomes(names)
        for name, span in zip(names, spans, strict=True):
            outcome = outcomes.get(name)
            if outcome is None:
                if action["status"] == Status.COMPLETED:
                    yield f"chunk {name} has no outcome"
                continue
            total += outcome.counts
            async for difference in _verify_chunk(store, storage, action, span, outcome):
                yield difference
            for exception in outcome.exceptions:
                if exception.owner is not None:
                    owners[exception.row] = exception.owner
                if exception.code not in _OWNS_ALL_THE_SAME:
                    ownerless.add(exception.row)
    for row, owner in owners.items():
        if not 1 <= owner <= action["totalCount"] or owner in ownerless:
            yield f"row {row} is a duplicate of row {owner}, which owns nothing"
    for name, value in total.to_document().items():
        if action.get(name) != value:
            yield f"{name} is {action.get(name)}, the ledger says {value}"
    if action["status"] == Status.COMPLETED and total.processed != action["totalCount"]:
        yield f"{total.processed} of {action['totalCount']} rows have an outcome"


async def _verify_file(storage: Storage, action: dict[str, Any]) -> AsyncIterator[str]:
    digest, size = hashlib.sha256(), 0
    try:
        while block := await storage.read(action["storageKey"], size, size + _BLOCK):
            digest.update(block)
            size += len(block)
    except ObjectMissing as error:
        yield f"its file cannot be read: {error}"
        return
    if (size, digest.hexdigest()) != (action["fileSize"], action["sha256"]):
        yield "the stored file is not the one that was uploaded"


async def _verify_chunk(
    store: Store, storage: Storage, action: dict[str, Any], span: Span, outcome: ChunkOutcome
) -> AsyncIterator[str]:
    entity = find_entity(action["entityType"])
    if entity is None:
        yield f"there is no entity {action['entityType']}"
        return
    data = await storage.read(action["storageKey"], span.start, span.end)
    checked = check_chunk(entity, Columns(tuple(action["columns"])), data, action["delimiter"], span.first_row)
    if (outcome.first_row, outcome.row_count) != (span.first_row, span.rows):
        yield f"the chunk of row {span.first_row} has {span.rows} rows, its outcome {outcome.row_count}"
        return
    if any(exception.code == DEAD_LETTER for exception in outcome.exceptions):
        return
    for difference in _verify_outcome(checked, outcome):
        yield difference
    async for difference in _verify_records(store, entity, action, checked, outcome):
        yield difference


def _verify_outcome(checked: CheckedChunk, outcome: ChunkOutcome) -> Iterator[str]:
    """Compare the failures with those that the file has, and the counts with the entries they sum up."""
    should = {failure.row: failure.code for failure in checked.failures}
    did = {e.row: e.code for e in outcome.exceptions if e.status == "FAILED" and e.code != WRITE_REFUSED}
    for row in sorted(should.keys() ^ did.keys()):
        yield f"row {row} should {'fail' if row in should else 'not fail'}: {should.get(row) or did.get(row)}"
    succeeded = outcome.row_count - len(outcome.exceptions)
    created = outcome.created.bit_count()
    if Counts.of(outcome.exceptions, created=created, updated=succeeded - created) != outcome.counts:
        yield f"the counts of the chunk of row {outcome.first_row} are not the sum of its rows"


async def _verify_records(
    store: Store, entity: Entity, action: dict[str, Any], checked: CheckedChunk, outcome: ChunkOutcome
) -> AsyncIterator[str]:
    """Each row that succeeded has its record, as written or as a later write left it."""
    excepted = {exception.row for exception in outcome.exceptions}
    written = {
        f"{action['accountId']}:{record[entity.key]}": (row, record)
        for row, record in zip(checked.rows, checked.records, strict=True)
        if row not in excepted
    }
    found = await store.records.find(entity.collection, list(written), [*entity.columns, "_bulk", "createdBy"])
    for record_id, (row, record) in written.items():
        stored = found.get(record_id)
        if stored is None:
            yield f"row {row}: its record {record_id} does not exist"
            continue
        if stored["_bulk"]["actionId"] == action["_id"]:
            if stored["_bulk"]["row"] != row:
                yield f"row {row}: its record was written by row {stored['_bulk']['row']}"
            elif any(stored.get(name) != value for name, value in record.items()):
                yield f"row {row}: its record {record_id} has other values"
        made_it = bool(outcome.created >> (row - outcome.first_row) & 1)
        if made_it != (stored.get("createdBy") == action["_id"]):
            yield f"row {row}: the outcome says {'CREATED' if made_it else 'UPDATED'}, the record does not"
