"""The progress agent: counts each chunk once, asks for the next window, and ends the action."""

from __future__ import annotations

from app.context import AppContext
from app.domain.faults import PermanentFault
from app.domain.progress import Progress
from app.kafka.messages import ChunkResult, Feed, chunk_id
from app.observability.metrics import WINDOW_USE
from app.services.completion import complete_if_done, recount, summarize_ledger
from app.services.failure_limits import pause_for_failures
from app.services.replays import finish_replays
from app.services.retention import expire_parts


async def count(result: ChunkResult, context: AppContext) -> None:
    """Count the result of a chunk, or recount the action when the message asks for that."""
    action_id, table = result.action_id, context.progress
    progress = None if result.index is None else table.get(action_id)
    if progress is None:
        progress = await _recounted(result, context)
        if progress is None:
            context.reporter.forget(action_id)
            if table.get(action_id) is not None:
                table.drop(action_id)
            return
    if result.index is not None:
        WINDOW_USE.observe((progress.fed - progress.counted_chunks) / context.settings.feed_window)
        progress = progress.count(result.index, result.read_counts())
    if progress.complete:
        # What the action says of itself: a message may say anything.
        completed = (await complete_if_done(context, action_id, progress.chunk_count)).progress
        if completed.complete:
            table.drop(action_id)
            return
        progress = completed.advanced(progress.fed).limited(progress.failure_limit)
    if (limit := progress.exceeded) is not None and await pause_for_failures(
        context, action_id, limit, progress.counts
    ):
        # Whoever lets it go on has seen it. Nothing is asked of the feeder until then.
        table.set(action_id, progress.limited(None))
        context.reporter.note(action_id, progress.counts)
        return
    if result.refeed and (lost := progress.in_flight()):
        await context.topics.feed.send(Feed(action_id=action_id, indexes=tuple(lost)))
    progress = await _feed_on(progress, action_id, context)
    table.set(action_id, progress)
    context.reporter.note(action_id, progress.counts)


async def _recounted(result: ChunkResult, context: AppContext) -> Progress | None:
    """Fold the ledger: this is the first result of the action, or its table entry is lost or doubted.

    Returns None when the action has ended, or is gone: then its counters are corrected, and nothing follows.
    """
    action = await context.store.actions.find(result.action_id)
    if action is None:
        if not await context.store.erased_actions.knows(result.action_id):
            raise PermanentFault(f"no action {result.action_id}")
        if result.index is not None:
            # Of a chunk that somebody had in hand when its action was deleted.
            await context.store.ledger.remove([chunk_id(result.action_id, result.index)])
        return None
    if result.index is None:
        await finish_replays(context, action)
    if action.ended:
        if result.index is not None and action.aborted:
            # A chunk that was in hand when the action was given up: what it did is counted.
            await recount(context, result.action_id, action.chunk_count)
            await expire_parts(context, action, [result.index])
        return None
    summary = await summarize_ledger(context, result.action_id, action.chunk_count)
    # What was asked for is on its way, even where the ledger does not show it yet: asking again would send it twice.
    known, progress = context.progress.get(result.action_id), summary.progress.limited(action.failure_limit)
    if action.stream is None:
        fed = max(context.settings.feed_window, progress.counted.bit_length(), known.fed if known else 0)
    elif result.refeed:
        # Those that came while it was paused, a window at a time.
        fed = next(iter(progress.missing(1)), progress.chunk_count) + context.settings.feed_window
    else:
        # Chunks that came over Kafka are on their way without having been asked for.
        fed = progress.chunk_count
    return (progress.unfinished() if action.takes_chunks else progress).advanced(fed)


async def _feed_on(progress: Progress, action_id: str, context: AppContext) -> Progress:
    """Ask for the next window when it is time."""
    window = context.settings.feed_window
    first = progress.next_window(window)
    if first is None:
        return progress
    await context.topics.feed.send(Feed(action_id=action_id, first=first))
    return progress.advanced(first + window)
