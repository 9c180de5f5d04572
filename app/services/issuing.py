"""The chunks of an action as messages: claim checks, which name what is to be run."""

from __future__ import annotations

from collections.abc import Sequence

from app.context import AppContext
from app.domain import upload_keys
from app.domain.actions import Action
from app.domain.csv.spans import Span, SpanIndex
from app.domain.streams import StreamChunk, first_row_of
from app.kafka.messages import ByteRange, Chunk, Source


async def chunks_of(
    context: AppContext, action: Action, indexes: Sequence[int], *, replay: bool = False
) -> list[Chunk]:
    """Return chunks of an action that has started, given by their indexes (ascending); none for what it does not have.

    Raises:
        app.adapters.storage.ObjectMissing, ValueError: the index of its file cannot be read.
        OSError, app.domain.faults.DependencyFault: something is away.
    """
    wanted = [index for index in indexes if 0 <= index < action.chunk_count]
    if action.stream is not None:
        found = await context.store.stream_chunks.some(action.id, wanted)
        return [stream_chunk(action, chunk, replay=replay) for _, chunk in sorted(found.items()) if not chunk.vacant]
    spans = await _spans(context, action.file.spans_key, wanted)
    source = _source(action, action.file.storage_key)
    return [
        Chunk(
            action_id=action.id,
            index=index,
            span=ByteRange(start=span.start, end=span.end, first_row=span.first_row, rows=span.rows),
            source=source,
            replay=replay,
        ).sealed(action.chunk_key)
        for index, span in zip(wanted, spans, strict=True)
    ]


def stream_chunk(action: Action, chunk: StreamChunk, *, replay: bool = False) -> Chunk:
    """Return a chunk that came over Kafka: the object in which its rows are."""
    return Chunk(
        action_id=action.id,
        index=chunk.number,
        span=ByteRange(start=0, end=chunk.size, first_row=first_row_of(chunk.number), rows=chunk.rows),
        source=_source(action, upload_keys.chunk_key(action.id, chunk.number, chunk.sha256)),
        replay=replay,
    ).sealed(action.chunk_key)


def _source(action: Action, storage_key: str) -> Source:
    """Return what the processors must know of an action."""
    file = action.file
    return Source(
        account_id=action.account_id,
        entity_type=action.entity_type,
        action_type=action.action_type,
        storage_key=storage_key,
        columns=file.columns.names,
        fields=file.columns.fields,
        delimiter=file.delimiter,
        empty_cells=file.empty_cells,
        row_count=action.expected_rows,
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
