"""Actions that take chunks and of which nothing was heard for a while: what they wait for, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import Action, Status
from app.domain.streams import Stream
from app.observability.dependencies import unavailable
from app.observability.logs import log_context
from app.observability.tracing import continued
from app.services.completion import summarize_ledger
from app.services.scheduling import send_missing
from app.services.sealing import arrived_of, known_chunks
from app.services.streams import fail_stream, seal_if_complete

#: After so many times STREAM_TIMEOUT nobody waits for what may stand in Kafka: what is behind an offset need not be a
#: message.
_LONGEST = 24
#: Actions looked at in one turn.
_PER_TURN = 100


async def review_streams(context: AppContext) -> None:
    """Go on with open actions that nothing has changed for a while.

    One of which all chunks are there is sealed; chunks that have come and have no result are sent again; one that waits
    for others in vain is FAILED after STREAM_TIMEOUT, with what is missing.
    """
    settings = context.settings
    before = datetime.now(UTC) - timedelta(seconds=min(settings.stall_timeout, settings.stream_timeout))
    idle = await context.store.actions.claim_unchanged(Status.OPEN, before, _PER_TURN)
    # While something is away nothing can come, and that is not the fault of who sends it.
    if idle and not await unavailable(context):
        for action in idle:
            with (
                log_context(action=action.id, account=action.account_id),
                continued("review", action.traceparent, {"action": action.id}),
            ):
                await _review(context, action)


async def _review(context: AppContext, action: Action) -> None:
    await seal_if_complete(context, action)
    current = await context.store.actions.get(action.id)
    if current is None or current.stream is None or current.status != Status.OPEN:
        return
    chunks = await known_chunks(context.store, current)
    summary = await summarize_ledger(context, current.id, current.chunk_count)
    there = (number for number, chunk in sorted(chunks.items()) if not chunk.vacant)
    missing = [number for number in there if not summary.progress.has(number)]
    if missing:
        await send_missing(context, current, summary, missing[: context.settings.feed_window])
        return
    timeout, stream = context.settings.stream_timeout, current.stream
    silent = datetime.now(UTC) - stream.waiting_since
    if silent < timedelta(seconds=timeout):
        return
    if silent < _LONGEST * timedelta(seconds=timeout) and await _may_come(context, current.id, stream):
        return
    await fail_stream(context, current, arrived_of(current, chunks).lacking(stream.declared, timeout))


async def _may_come(context: AppContext, action_id: str, stream: Stream) -> bool:
    """Tell whether what an action waits for may stand in Kafka, unread: because no worker ran, or behind a backlog."""
    offsets = await context.topics.chunk_offsets()
    ends = stream.backlog
    if ends is None:
        # Whatever is sent from now on is too late.
        ends = offsets.ends
        await context.store.actions.note_backlog(action_id, ends)
    return not offsets.have_reached(ends)
