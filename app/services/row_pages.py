"""The outcomes of an action's rows, page by page: only chunks that have what is asked for are read.

What is wrong with a row that is not valid is not in the ledger: the row's chunk is parsed again. Whatever walks through
rows does so in a thread, so that a large page holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.actions import Action
from app.domain.outcomes import ChunkOutcome, RowOutcome, RowStatus
from app.domain.packed_exceptions import derivable
from app.services.ledger_walk import outcomes_with
from app.services.stored_rows import StoredRows, without_file


async def page_of_rows(
    context: AppContext, action: Action, *, status: RowStatus | None, chunk: int, after: int, limit: int
) -> tuple[list[RowOutcome], str | None]:
    """Return up to ``limit`` rows behind row ``after``, and where the next page begins, if there is one.

    Args:
        context: The stores.
        action: The action.
        status: Only rows of this status; None: all.
        chunk: The index of the chunk to start in.
        after: The number of the row to start behind.
        limit: Most rows.

    Raises:
        OSError: the storage, in which the reasons of failures are looked up, is away.
        app.domain.faults.DependencyFault: the database is away.
    """
    rows: list[RowOutcome] = []
    async for index, outcome in outcomes_with(context, action, None if status is None else {status}, first=chunk):
        # One more than there is room for tells that there is a next page.
        found = await asyncio.to_thread(_rows, outcome, status, after, limit + 1 - len(rows))
        shown = found[: limit - len(rows)]
        if any(map(derivable, shown)):
            shown = await _explained(context, action, index, shown)
        rows += shown
        if len(found) > len(shown):
            return rows, f"{index}-{rows[-1].row}"
    return rows, None


def _rows(outcome: ChunkOutcome, status: RowStatus | None, after: int, limit: int) -> list[RowOutcome]:
    """Return the first rows of a chunk behind ``after``; those that did not plainly succeed as they stand in it."""
    found: list[RowOutcome] = []
    for entry in _all(outcome, after) if status in (None, "SUCCESS") else outcome.exceptions:
        if entry.row > after and status in (None, entry.status):
            found.append(entry)
            if len(found) == limit:
                break
    return found


def _all(outcome: ChunkOutcome, after: int) -> Iterator[RowOutcome]:
    exceptions = {entry.row: entry for entry in outcome.exceptions}
    for row in range(max(outcome.first_row, after + 1), outcome.first_row + outcome.row_count):
        yield exceptions.get(row) or RowOutcome(row, "SUCCESS", outcome.code(row), "")


async def _explained(context: AppContext, action: Action, index: int, entries: list[RowOutcome]) -> list[RowOutcome]:
    """Fill in message and column of failures, which follow from the file."""
    try:
        return await StoredRows(context.store, context.storage, action).explain(index, entries)
    except (ObjectMissing, ValueError):
        return [without_file(entry) for entry in entries]
