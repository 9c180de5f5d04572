"""The indexer: what has happened to actions, chunks and rows goes into the index of events.

What is to be indexed is known from the database alone (``app/adapters/mongo/index_queue.py``), and looked for by a loop
in each worker. Nothing waits for it: an index that is away, slow or full costs the rows nothing, and when it is back
the loop finds what has come meanwhile. A worker that dies leaves a lease that runs out; whoever goes on writes some
events again, under the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from app.adapters.mongo.index_queue import ClaimedAction
from app.context import AppContext
from app.domain.action_events import transition_events
from app.domain.actions import Action
from app.domain.events import Event, EventType
from app.domain.faults import Dependency, DependencyFault
from app.domain.indexing import Indexed, IndexedEvent, Rejected
from app.domain.rejected_events import letter_of_action
from app.kafka.messages import chunk_id
from app.observability.metrics import INDEX_REJECTED, INDEX_SECONDS, INDEXED_EVENTS
from app.services.action_events import chunk_events
from app.services.retention import expire_parts

log = logging.getLogger(__name__)

#: Between two looks for what is to be indexed, seconds.
INTERVAL = 1.0
#: Between two looks for what is to go from the index, seconds.
CARE_INTERVAL = 60.0
#: Actions that one worker indexes in one turn, one after the other.
_PER_TURN = 50
#: So long one action has the turn, seconds; what is left of it waits for the others.
_SLICE = 5.0
#: Chunks that are asked for at once, and events that are gathered for one request.
_CHUNKS, _EVENTS = 256, 500
#: Pauses after a failure double from the first to the last, seconds.
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 15.0
#: For every second of work so many seconds are left to others: indexing never takes all of a processor.
_REST = 0.5


@dataclass(slots=True)
class _Batch:
    """Events that are gathered, what the index has without them, and with them."""

    safe: Indexed
    indexed: Indexed
    events: list[IndexedEvent] = field(default_factory=list)


class Indexer:
    """Indexes what waits, again and again; waits longer and longer while the index does not take it."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._not_before = 0.0
        self._prepared = False

    async def index(self, context: AppContext) -> None:
        """Do one turn: index every action that is due, as far as its time goes.

        Raises:
            app.domain.faults.DependencyFault, OSError: the database or the storage is away; the next turn goes on.
        """
        index = context.index
        if index is None or time.monotonic() < self._not_before:
            return
        try:
            await self._prepare(context)
            for action_id in await context.store.index_queue.due(datetime.now(UTC), _PER_TURN):
                if context.should_yield():
                    return
                claimed = await context.store.index_queue.claim(action_id, datetime.now(UTC), _lease(context))
                if claimed is not None:
                    await _index_action(context, claimed)
        except DependencyFault as error:
            if error.dependency is not Dependency.INDEX:
                raise
            self._later(error)
        else:
            if self._pause:
                log.info("the index takes events again")
            self._pause = 0.0

    async def _prepare(self, context: AppContext) -> None:
        """Once, where the index can be reached: have the template, and the actions of before there was an index."""
        if self._prepared or context.index is None:
            return
        await context.index.install()
        if added := await context.store.index_queue.add_unknown(datetime.now(UTC)):
            log.info("%d actions of before are to be indexed", added)
        self._prepared = True

    def _later(self, error: DependencyFault) -> None:
        if not self._pause:
            log.warning("the index does not take events, trying again: %s", error)
        self._pause = min(_LAST_PAUSE, 2 * self._pause or _FIRST_PAUSE)
        self._not_before = time.monotonic() + self._pause


async def look_after_index(context: AppContext) -> None:
    """Remove the events of actions that have expired, and indices that are older than events are kept.

    Raises:
        app.domain.faults.DependencyFault: the index is away.
    """
    if context.index is None:
        return
    now = datetime.now(UTC)
    for action_id in await context.index.expired_actions(now, _PER_TURN):
        await context.index.remove(action_id)
    if dropped := await context.index.drop_old(now):
        log.info("indices dropped, whose time is over: %s", ", ".join(dropped))


async def _index_action(context: AppContext, claimed: ClaimedAction) -> None:
    """Index what is new of an action, and note how far that is, whatever comes between."""
    queue, batch = context.store.index_queue, _Batch(claimed.indexed, claimed.indexed)
    try:
        complete = await _index_parts(context, claimed, batch)
    except BaseException:
        # At once, because others may get further.
        await queue.release(claimed, batch.safe)
        raise
    if complete:
        await queue.finish(claimed, batch.indexed)
    else:
        await queue.release(claimed, batch.indexed)


async def _index_parts(context: AppContext, claimed: ClaimedAction, batch: _Batch) -> bool:
    """Index an action, its parts one after the other; False when its time was over before its end."""
    action, until = claimed.action, time.monotonic() + _SLICE
    events = transition_events(action)
    new = batch.indexed.untold(action.id, events)
    expires = action.retained_until if action.ended else None
    batch.events += [IndexedEvent(event, event.at, expires) for event in new]
    batch.indexed = batch.indexed.with_told(action.id, events)
    await _write(context, action, batch)
    batch.indexed = await _without_replayed(context, action, batch.indexed)
    began = action.started_at or action.created_at
    chunks = iter(batch.indexed.open_chunks(action.chunk_count, _most_looked_at(context, action)))
    while names := {chunk_id(action.id, index): index for index in islice(chunks, _CHUNKS)}:
        finished = sorted(names[name] for name in await context.store.ledger.summaries(list(names)))
        async for index, found in chunk_events(context, action, finished):
            batch.events += [IndexedEvent(event, began) for event in found]
            dead = any(event.type is EventType.CHUNK_DEAD for event in found)
            batch.indexed = batch.indexed.with_chunk(index, dead=dead)
            if len(batch.events) >= _EVENTS:
                await _write(context, action, batch)
                if not await context.store.index_queue.save(claimed, batch.indexed, datetime.now(UTC), _lease(context)):
                    # Somebody else goes on with it: this worker was away for longer than the lease.
                    return True
                if time.monotonic() > until or context.should_yield():
                    return False
        await _write(context, action, batch)
    return True


def _lease(context: AppContext) -> timedelta:
    """Return how long an action is a worker's own after the last sign of it."""
    return timedelta(seconds=context.settings.stall_timeout)


def _most_looked_at(context: AppContext, action: Action) -> int:
    """Return how many chunks may have come since the last look: of a file that is under way, the first few windows."""
    if action.ended or action.stream is not None:
        return action.chunk_count
    return _CHUNKS + 2 * context.settings.feed_window


async def _without_replayed(context: AppContext, action: Action, indexed: Indexed) -> Indexed:
    """Return the state in which chunks that were given up, and have an outcome by now, are to be indexed again."""
    names = {chunk_id(action.id, index): index for index in indexed.dead_chunks()}
    for name, entry in (await context.store.ledger.summaries(list(names))).items():
        if not entry.dead:
            indexed = indexed.without_chunk(names[name])
    return indexed


async def _write(context: AppContext, action: Action, batch: _Batch) -> None:
    """Write what is gathered; what the index refuses becomes dead letters."""
    if context.index is None:
        return
    if not batch.events:
        batch.safe = batch.indexed
        return
    began = time.monotonic()
    rejected = await context.index.write(batch.events)
    took = time.monotonic() - began
    INDEX_SECONDS.observe(took)
    INDEXED_EVENTS.inc(len(batch.events) - len(rejected))
    if rejected:
        INDEX_REJECTED.inc(len(rejected))
        await _store_letters(context, action, [item.event for item in batch.events], rejected)
    batch.events, batch.safe = [], batch.indexed
    await asyncio.sleep(_REST * took)


async def _store_letters(
    context: AppContext, action: Action, events: Sequence[Event], rejected: Sequence[Rejected]
) -> None:
    """Store a dead letter for each chunk, and for the action itself, of which events were refused."""
    chunks = {event.id: event.chunk if event.type in _OF_CHUNKS else None for event in events}
    by_chunk: dict[int | None, list[Rejected]] = {}
    for one in rejected:
        by_chunk.setdefault(chunks[one.event_id], []).append(one)
    for chunk, refused in by_chunk.items():
        log.error("action %s, chunk %s: %d events were refused by the index", action.id, chunk, len(refused))
        await context.store.dead_letters.put(letter_of_action(action, chunk, refused, datetime.now(UTC)))
    await expire_parts(context, action, chunks=())


#: Events that are indexed with their chunk.
_OF_CHUNKS = frozenset({EventType.CHUNK_COMPLETED, EventType.CHUNK_DEAD, EventType.ROW_FAILED, EventType.ROW_SKIPPED})
