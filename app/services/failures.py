"""What is wrong with the rows of an action, so that one look says what is to be mended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from itertools import islice

from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.failure_groups import FailureGroups
from app.domain.rows import RowsUnreadable
from app.services.ahead import ahead
from app.services.results import ReadChunk, read_chunks, records_of
from app.services.stored_rows import StoredRows

#: Most failures that are looked at, each of which is validated once more: a second or two of work.
_MOST_EXAMINED = 100_000


async def group_failures(context: AppContext, action: Action) -> FailureGroups:
    """Group the first rows that failed, as far as the chunks of the action are finished.

    Raises:
        RowsUnreadable: the file is not stored any more or is not the one of the ledger, or nobody knows the entity.
        OSError: the storage is away.
        app.domain.faults.DependencyFault: the database is away.
    """
    groups = FailureGroups()
    try:
        rows = StoredRows(context.store, context.storage, action)
        async with aclosing(ahead(read_chunks(context, action, rows, {"FAILED"}))) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(_add, groups, rows, piece)
                if groups.count >= _MOST_EXAMINED:
                    break
    except ObjectMissing:
        raise RowsUnreadable("its file is not stored any more") from None
    return groups


def _add(groups: FailureGroups, rows: StoredRows, piece: Sequence[ReadChunk]) -> None:
    for chunk in piece:
        first_row = chunk.span.first_row
        records = records_of(rows, chunk)
        failed = (entry for entry in chunk.outcome.exceptions if entry.status == "FAILED")
        for failure in rows.explained(records, first_row, list(islice(failed, _MOST_EXAMINED - groups.count))):
            groups.add(failure, rows.cell(records, failure.row - first_row, failure.column))
