"""The events of an action: what its document and its ledger say has happened to it, its chunks and its rows.

The messages of rows that are not valid are not in the ledger: they follow from the file, which is parsed again, in a
thread. At most the events of one chunk are in memory at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from itertools import islice

from app.adapters.mongo.ledger import Finished
from app.adapters.storage import ObjectMissing
from app.context import AppContext
from app.domain.action_events import chunk_event, row_event, transition_events
from app.domain.actions import Action
from app.domain.csv.spans import Span
from app.domain.events import Event
from app.kafka.messages import chunk_id
from app.services.stored_rows import StoredRows, without_file

__all__ = ["chunk_events", "transition_events"]

#: Ledger entries read in one query.
_PER_READ = 16
#: Chunks are asked for in one read of the index of chunks if they are not further apart.
_PER_WINDOW = 1024


async def chunk_events(
    context: AppContext, action: Action, indexes: Sequence[int]
) -> AsyncGenerator[tuple[int, list[Event]], None]:
    """Yield for each of these chunks that is finished its index and its events: the chunk's, then those of its rows.

    Rows that succeeded have no events, nor have those of a chunk that was given up, whose event names them. Where the
    file cannot be read any more, the messages of its rows say so.

    Args:
        context: The stores.
        action: The action, as a whole: not as a list has it.
        indexes: Which chunks, ascending.

    Raises:
        OSError: the storage is away.
        app.domain.faults.DependencyFault: the database is away.
    """
    try:
        rows = StoredRows(context.store, context.storage, action)
    except ValueError:
        rows = None
    places = iter(indexes)
    while batch := list(islice(places, _PER_READ)):
        found = await context.store.ledger.finished([chunk_id(action.id, index) for index in batch])
        finished = [(index, found[name]) for index in batch if (name := chunk_id(action.id, index)) in found]
        spans = {} if rows is None else await _spans(rows, [index for index, entry in finished if _has_rows(entry)])
        for index, entry in finished:
            yield index, await _events_of_chunk(action, rows, index, entry, spans.get(index))


def _has_rows(entry: Finished) -> bool:
    return bool(entry.outcome.exceptions) and not entry.outcome.given_up


async def _spans(rows: StoredRows, indexes: Sequence[int]) -> dict[int, Span]:
    """Return where chunks are, as far as that can still be read."""
    if not indexes:
        return {}
    first, last = indexes[0], indexes[-1]
    try:
        if last - first < _PER_WINDOW:
            spans = await rows.spans(first, last - first + 1)
            return {index: spans[index - first] for index in indexes}
        return {index: (await rows.spans(index, 1))[0] for index in indexes}
    except (ObjectMissing, ValueError):
        return {}


async def _events_of_chunk(
    action: Action, rows: StoredRows | None, index: int, entry: Finished, span: Span | None
) -> list[Event]:
    outcome = entry.outcome
    summary = chunk_event(action, index, outcome, entry.at)
    if not _has_rows(entry):
        return [summary]
    if rows is not None and span is not None:
        try:
            data = await rows.data(span.start, span.end)
            make = partial(_events_of_rows, action, rows, index, entry, data)
            return [summary, *await asyncio.to_thread(make)]
        except (ObjectMissing, ValueError):
            pass
    told = map(without_file, outcome.exceptions)
    return [summary, *(row_event(action, index, row, entry.at, None, None) for row in told)]


def _events_of_rows(action: Action, rows: StoredRows, index: int, entry: Finished, data: bytes) -> list[Event]:
    records = rows.records(data)
    first_row, exceptions = entry.outcome.first_row, entry.outcome.exceptions
    told = rows.explained(records, first_row, exceptions)
    names = rows.names(records, [row.row - first_row for row in told])
    return [row_event(action, index, row, entry.at, *name) for row, name in zip(told, names, strict=True)]
