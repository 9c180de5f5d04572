"""Recounting actions from what lies underneath: the file, the ledger and the records.

Nothing here trusts a counter: the stored file is parsed again, its outcomes are compared with the ledger row
by row, the ledger with the action document, and the records with the rows that own them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator

from app.adapters.mongo import Store
from app.adapters.storage import ObjectMissing, Storage
from app.domain.actions import Action, Status
from app.domain.chunk_index import ChunkIndex
from app.domain.csv.spans import Span
from app.domain.dead_letters import State
from app.domain.entities import find_entity
from app.domain.id_filter import IdFilter
from app.domain.outcomes import CHANGES, DEAD_LETTER, FAILED_AT_RECORD, ChunkOutcome, Counts
from app.domain.row_map import byte_range, unpack
from app.domain.rows import CheckedChunk
from app.domain.upload_keys import chunk_key, rows_key
from app.services.chunk_outcomes import recorded_chunks
from app.services.record_comparison import RecordComparison, rows_last_written
from app.services.sealing import known_chunks
from app.services.stored_rows import StoredRows

#: A row that failed only at its record has claimed its record before, and keeps it.
_OWNS_ALL_THE_SAME = FAILED_AT_RECORD | {DEAD_LETTER}
#: Block for hashing the stored file, bytes.
_BLOCK = 1024 * 1024


def _unheard(_rows: int) -> None:
    pass


async def verify(
    store: Store, storage: Storage, action: Action, progress: Callable[[int], None] = _unheard
) -> AsyncIterator[str]:
    """Yield a sentence for each difference between an action and what lies underneath.

    ``progress`` is told of the rows of each chunk once they are compared.
    """
    if not action.ended:
        yield f"not ended: it is {action.status}"
        return
    if find_entity(action.entity_type) is None:
        yield f"there is no entity {action.entity_type}"
        return
    async for difference in _verify_letters(store, action):
        yield difference
    try:
        verified = _verify_file(storage, action) if action.stream is None else _verify_chunks(store, storage, action)
        async for difference in verified:
            yield difference
        rows = StoredRows(store, storage, action)
        index = await rows.index()
        if index.row_count != action.total_count:
            what = "the file has" if action.stream is None else "its chunks have"
            yield f"{what} {index.row_count} rows, totalCount is {action.total_count}"
        records = RecordComparison(store, storage, action, rows.entity)
        if action.retry_of is not None:
            async for difference in _verify_row_map(storage, action):
                yield difference
        async for difference in _Recount(store, rows, records, action, index).differences(progress):
            yield difference
    except (ObjectMissing, ValueError) as error:
        yield f"its file or its span index cannot be read: {error}"


async def _verify_letters(store: Store, action: Action) -> AsyncIterator[str]:
    """A dead letter is DONE when its chunk has an outcome, and DEAD when it was given up."""
    letters = await store.dead_letters.chunk_states(action.id)
    entries = await store.ledger.summaries(list(letters))
    for name, status in letters.items():
        entry = entries.get(name)
        if status == State.REPLAYED:
            yield f"the replay of dead letter {name} has not ended"
        elif entry is not None and (status == State.DONE) == entry.dead:
            yield f"dead letter {name} is {status}, its chunk {'was given up' if entry.dead else 'has an outcome'}"
        elif entry is None and (status == State.DONE or action.status == Status.COMPLETED):
            yield f"dead letter {name} is {status}, its chunk has no outcome"


async def _verify_file(storage: Storage, action: Action) -> AsyncIterator[str]:
    digest, size = hashlib.sha256(), 0
    while block := await storage.read(action.file.storage_key, size, size + _BLOCK):
        digest.update(block)
        size += len(block)
    if (size, digest.hexdigest()) != (action.file.size, action.file.sha256):
        yield "the stored file is not the one that was uploaded"


async def _verify_row_map(storage: Storage, action: Action) -> AsyncIterator[str]:
    """Each row of a retry is another row of the original, in the same order."""
    before, count = 0, 0
    while data := await storage.read(rows_key(action.id), *byte_range(count + 1, count + _BLOCK)):
        for number in unpack(data):
            count += 1
            if number <= before:
                yield f"row {count} is row {number} of the original, the row before it row {before}"
            before = number
    if count != action.total_count:
        yield f"the original rows of {count} rows are known, of {action.total_count}"


async def _verify_chunks(store: Store, storage: Storage, action: Action) -> AsyncIterator[str]:
    for number, chunk in (await known_chunks(store, action)).items():
        data = b"" if chunk.vacant else await storage.read(chunk_key(action.id, number, chunk.sha256))
        if not chunk.vacant and (len(data), hashlib.sha256(data).hexdigest()) != (chunk.size, chunk.sha256):
            yield f"the stored chunk {number} is not the one that came"


class _Recount:
    """One action, counted again chunk by chunk."""

    def __init__(
        self, store: Store, rows: StoredRows, records: RecordComparison, action: Action, index: ChunkIndex
    ) -> None:
        self._store, self._rows, self._records, self._action, self._index = store, rows, records, action, index
        self._total = Counts()
        #: Rows that own no record.
        self._ownerless: set[int] = set()
        #: The chunks of a cancelled action that never ran.
        self._unprocessed: list[Span] = []
        #: Of each duplicate: the row that it names as the owner, and its own key values.
        self._duplicates: dict[int, tuple[int, frozenset[str]]] = {}

    async def differences(self, progress: Callable[[int], None]) -> AsyncIterator[str]:
        """Yield a sentence for each difference."""
        action = self._action
        async for _, name, span, outcome in recorded_chunks(self._store.ledger, action.id, self._index):
            if outcome is not None:
                async for difference in self._chunk(span, outcome):
                    yield difference
            elif action.status == Status.COMPLETED:
                yield f"chunk {name} has no outcome"
            elif action.status == Status.CANCELLED and span.rows:
                async for difference in self._never_ran(span):
                    yield difference
            progress(span.rows)
        async for difference in self._owners():
            yield difference
        for difference in await self._records.unexplained():
            yield difference
        stored = await self._store.actions.stored_counters(action.id)
        for name, value in self._total.to_document().items():
            if stored[name] != value:
                yield f"{name} is {stored[name]}, the ledger says {value}"
        if action.status == Status.COMPLETED and self._total.processed != action.total_count:
            yield f"{self._total.processed} of {action.total_count} rows have an outcome"

    async def _chunk(self, span: Span, outcome: ChunkOutcome) -> AsyncIterator[str]:
        self._total += outcome.counts
        if (outcome.first_row, outcome.row_count) != (span.first_row, span.rows):
            yield f"the chunk of row {span.first_row} has {span.rows} rows, its outcome {outcome.row_count}"
            return
        checked = await self._rows.read(span)
        values = self._key_values(checked)
        for exception in outcome.exceptions:
            if exception.code not in _OWNS_ALL_THE_SAME:
                self._ownerless.add(exception.row)
            if exception.status == "SKIPPED":
                self._duplicates[exception.row] = exception.owner or 0, values.get(exception.row, frozenset())
        if outcome.given_up:
            return
        for difference in _verify_outcome(checked, outcome):
            yield difference
        async for difference in self._records.differences(checked, outcome):
            yield difference

    async def _never_ran(self, span: Span) -> AsyncIterator[str]:
        """No row of a chunk that was not begun before its action was cancelled has written its record, or owns one."""
        self._unprocessed.append(span)
        for row in sorted(await rows_last_written(self._store, self._action, await self._rows.read(span))):
            yield f"row {row} has no outcome, but its record was written"

    async def _owners(self) -> AsyncIterator[str]:
        """Each duplicate shares a key value with the row that it names, and that row owns its record."""
        starts = [span.first_row for span in self._index.spans(0, len(self._index))]
        wanted = {owner for owner, _ in self._duplicates.values() if 1 <= owner <= self._index.last_row}
        owned: dict[int, frozenset[str]] = {}
        for chunk in sorted({bisect_right(starts, owner) - 1 for owner in wanted}):
            values = self._key_values(await self._rows.read(self._index.span(chunk)))
            owned.update((row, keys) for row, keys in values.items() if row in wanted)
        for row, (owner, keys) in self._duplicates.items():
            never_ran = any(span.first_row <= owner < span.first_row + span.rows for span in self._unprocessed)
            if never_ran or owner in self._ownerless or not keys & owned.get(owner, frozenset()):
                yield f"row {row} is a duplicate of row {owner}, which does not own its record"

    def _key_values(self, checked: CheckedChunk) -> dict[int, frozenset[str]]:
        names = checked.entity.key_fields
        return {
            row: frozenset(f"{name}:{value}" for name, value in zip(names, values, strict=True))
            for row, values in zip(checked.rows, zip(*checked.claims, strict=True), strict=True)
        }


def _verify_outcome(checked: CheckedChunk, outcome: ChunkOutcome) -> Iterator[str]:
    """Compare the failures with those that the file has, and the counts with the entries they sum up."""
    should = {failure.row: failure.code for failure in checked.failures}
    did = {e.row: e.code for e in outcome.exceptions if e.status == "FAILED" and e.code not in FAILED_AT_RECORD}
    for row in sorted(should.keys() ^ did.keys()):
        yield f"row {row} should {'fail' if row in should else 'not fail'}: {should.get(row) or did.get(row)}"
    succeeded = outcome.row_count - len(outcome.exceptions)
    created, unchanged, deleted = (rows.bit_count() for rows in (outcome.created, outcome.unchanged, outcome.deleted))
    updated = succeeded - created - unchanged - deleted
    counts = Counts.of(outcome.exceptions, created=created, updated=updated, unchanged=unchanged, deleted=deleted)
    if counts != outcome.counts:
        yield f"the counts of the chunk of row {outcome.first_row} are not the sum of its rows"
    # A version that kept no filters has none.
    if outcome.changed_ids is not None and outcome.changed_ids != IdFilter.of(_changed_ids(checked, outcome)):
        yield f"the filter of the chunk of row {outcome.first_row} is not that of the records that its rows changed"


def _changed_ids(checked: CheckedChunk, outcome: ChunkOutcome) -> list[bytes]:
    codes, exceptions = outcome.codes(), {entry.row for entry in outcome.exceptions}
    return [
        key.encode()
        for row, key in zip(checked.rows, checked.column(checked.entity.key), strict=True)
        if row not in exceptions and codes[row - outcome.first_row] in CHANGES
    ]
