"""The feeder: turns a request for a window into its chunks. Reads the span index, nothing of the file."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents.faults import PermanentFault
from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.csv.spans import Span, SpanIndex
from app.kafka.messages import ByteRange, Chunk, Feed, Source
from app.observability.logs import event

log = logging.getLogger(__name__)


async def feed(message: Feed, context: AppContext) -> None:
    """Send the chunks that are asked for, if the action is to be run at all."""
    action_id = message.action_id
    action = await context.store.actions.find(action_id)
    if action is None:
        if await context.store.erased_actions.knows(action_id):
            return
        raise PermanentFault(f"no action {action_id}")
    if action.status == Status.QUEUED:
        moved = await context.store.actions.start(action_id, message.announcement)
        if moved:
            log.info(event("action started", action=action_id, account=moved.account_id, rows=moved.total_count))
        action = moved or await context.store.actions.get(action_id) or action
    if action.status != (Status.CANCELLED if message.begun else Status.PROCESSING):
        return
    if message.announcement is not None and message.announcement != action.announcement:
        # Another announcement has started the action. The one that did goes on here when it is delivered again.
        return
    source = _source(action)
    if message.indexes is None:
        last = min(message.first + context.settings.feed_window, source.chunk_count)
        wanted: Sequence[int] = range(message.first, last)
    else:
        wanted = sorted({index for index in message.indexes if 0 <= index < source.chunk_count})
    spans = await _spans(context, action.file.spans_key, wanted)
    await context.topics.chunks.send_all(
        Chunk(
            action_id=action_id,
            index=index,
            span=ByteRange(start=span.start, end=span.end, first_row=span.first_row, rows=span.rows),
            source=source,
            replay=message.begun,
        )
        for index, span in zip(wanted, spans, strict=True)
    )


def _source(action: Action) -> Source:
    """Return what the processors must know of an action that has started."""
    file = action.file
    return Source(
        account_id=action.account_id,
        entity_type=action.entity_type,
        action_type=action.action_type,
        storage_key=file.storage_key,
        columns=file.columns.names,
        fields=file.columns.fields,
        delimiter=file.delimiter,
        empty_cells=file.empty_cells,
        row_count=action.total_count,
        chunk_count=action.chunk_count,
        started_at=action.started_at or action.created_at,
    )


async def _spans(context: AppContext, key: str, wanted: Sequence[int]) -> list[Span]:
    """Look up the spans of chunks (ascending) with one ranged read of the stored index."""
    if not wanted:
        return []
    first, count = wanted[0], wanted[-1] - wanted[0] + 1
    start, end = SpanIndex.window_range(first, count)
    window = SpanIndex.spans_from_window(await context.storage.read(key, start, end))
    return [window[index - first] for index in wanted]
