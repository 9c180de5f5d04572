"""The results file of an action: its rows with what became of each, in the order of the file, piece by piece.

Only chunks that have what is asked for are read. A piece is a few of them at most, so that any file takes the same
memory; while one is sent the next is made, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from typing import NamedTuple

from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.csv.encodings import UTF_8, EncodingSource
from app.domain.csv.spans import Span
from app.domain.csv.text import RawRecords
from app.domain.outcomes import STATUSES, ChunkOutcome, RowStatus
from app.domain.result_files import ChunkResults, CsvResults, JsonResults, ResultsFormat
from app.domain.rows import RowsUnreadable
from app.services.ahead import ahead
from app.services.ledger_walk import batches_with
from app.services.stored_rows import StoredRows

#: Chunks that follow each other are read, and made rows of, together, up to so many bytes of the file.
_PIECE = 512 * 1024


class ReadChunk(NamedTuple):
    """A finished chunk with its rows as they are stored."""

    span: Span
    outcome: ChunkOutcome
    data: bytes


def csv_results(action: Action) -> CsvResults:
    """Return the form of CSV that suits whoever has sent the file of an action: their delimiter, and their mark.

    What came with a byte-order mark, or was not UTF-8, came from a spreadsheet, which reads UTF-8 by its mark alone.
    """
    file = action.file
    mark = file.encoding is not None and (file.encoding.name != UTF_8 or file.encoding.source is EncodingSource.MARK)
    return CsvResults(file.columns, file.delimiter, mark=mark)


def json_results(action: Action) -> JsonResults:
    """Return the form of one JSON object per row."""
    return JsonResults(action.file.columns, action.file.delimiter)


async def results(
    context: AppContext, action: Action, form: ResultsFormat, statuses: Collection[RowStatus] | None
) -> AsyncGenerator[bytes, None]:
    """Return the results file of an action, as far as its chunks are finished.

    Args:
        context: The stores.
        action: The action.
        form: How it is written.
        statuses: Only rows of these; None: all.

    Raises:
        RowsUnreadable: the file is not stored any more or is not the one of the ledger, or nobody knows the entity.
        OSError: the storage is away.
        app.domain.faults.DependencyFault: the database is away.
    """
    begin = form.begin()
    try:
        rows = StoredRows(context.store, context.storage, action)
        async with aclosing(ahead(read_chunks(context, action, rows, statuses))) as pieces:
            async for piece in pieces:
                yield begin + await asyncio.to_thread(_written, rows, form, piece, statuses or STATUSES)
                begin = b""
    except ObjectMissing:
        raise RowsUnreadable("its file is not stored any more") from None
    if begin:
        yield begin


async def read_chunks(
    context: AppContext, action: Action, rows: StoredRows, statuses: Collection[RowStatus] | None
) -> AsyncGenerator[list[ReadChunk], None]:
    """Return the finished chunks that have rows of any of these statuses, in order, some at a time.

    Raises:
        ObjectMissing, RowsUnreadable: the file is not there any more, or not what it was; or the action is not.
    """
    async for batch in batches_with(context, action, statuses):
        if not batch:
            continue
        first, last = batch[0][0], batch[-1][0]
        spans = await rows.spans(first, last - first + 1)
        async for piece in _pieces(rows, [(spans[index - first], outcome) for index, outcome in batch]):
            yield piece
    if await context.store.actions.get(action.id) is None:
        # What its ledger did not have any more would be taken for chunks that have not run.
        raise RowsUnreadable("it was deleted meanwhile")


async def _pieces(rows: StoredRows, chunks: Sequence[tuple[Span, ChunkOutcome]]) -> AsyncIterator[list[ReadChunk]]:
    while chunks:
        count = 1
        while count < len(chunks) and (
            chunks[count][0].start == chunks[count - 1][0].end and chunks[count][0].end - chunks[0][0].start <= _PIECE
        ):
            count += 1
        start = chunks[0][0].start
        data = await rows.data(start, chunks[count - 1][0].end)
        yield [
            ReadChunk(span, outcome, data[span.start - start : span.end - start]) for span, outcome in chunks[:count]
        ]
        chunks = chunks[count:]


def _written(
    rows: StoredRows, form: ResultsFormat, piece: Sequence[ReadChunk], statuses: Collection[RowStatus]
) -> bytes:
    return b"".join(form.rows(_results_of(rows, chunk, statuses)) for chunk in piece)


def records_of(rows: StoredRows, chunk: ReadChunk) -> RawRecords:
    """Return the rows of a chunk as they are written.

    Raises:
        RowsUnreadable: there are more or less of them than the ledger has.
    """
    records, expected = rows.records(chunk.data), chunk.outcome.row_count
    if len(records.texts) != expected:
        raise RowsUnreadable(f"the stored rows from {chunk.span.first_row} on are not the {expected} of the ledger")
    return records


def _results_of(rows: StoredRows, chunk: ReadChunk, statuses: Collection[RowStatus]) -> ChunkResults:
    outcome, first_row = chunk.outcome, chunk.span.first_row
    records = records_of(rows, chunk)
    succeeded = "SUCCESS" in statuses
    told = [entry for entry in outcome.exceptions if entry.status in statuses]
    told = rows.explained(records, first_row, told)
    shown: Sequence[int] = [entry.row - first_row for entry in told]
    if succeeded:
        hidden = {entry.row - first_row for entry in outcome.exceptions if entry.status not in statuses}
        shown = [place for place in range(outcome.row_count) if place not in hidden]
    return ChunkResults(
        records=records,
        first_row=first_row,
        codes=outcome.codes() if succeeded else (),
        ids=rows.ids(records) if succeeded else (),
        exceptions={entry.row: entry for entry in told},
        shown=shown,
    )
