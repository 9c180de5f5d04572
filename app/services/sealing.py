"""What has arrived of an action whose rows come over Kafka, and the end of taking more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from app.adapters.mongo import Store
from app.domain.actions import Action
from app.domain.outcomes import ChunkOutcome, Counts
from app.domain.streams import Arrived, StreamChunk, first_row_of
from app.kafka.messages import chunk_id


async def known_chunks(store: Store, action: Action) -> dict[int, StreamChunk]:
    """Return all that is known of the chunks of an action, by number; vacant numbers among them."""
    return await store.stream_chunks.some(action.id, range(action.chunk_count))


def arrived_of(action: Action, chunks: Mapping[int, StreamChunk]) -> Arrived:
    """Return what has arrived of an action."""
    return Arrived.of(chunks.values(), None if action.stream is None else action.stream.numbering)


async def vacate(store: Store, action: Action, chunks: Mapping[int, StreamChunk]) -> bool:
    """Note that no chunk will come for the numbers that were given and never used; tell whether that is so.

    Whoever was about to use one finds it taken.
    """
    for number in range(action.chunk_count):
        if number not in chunks:
            if not (await store.stream_chunks.add(action.id, StreamChunk(number))).vacant:
                return False
            empty = ChunkOutcome(first_row_of(number), 0, Counts(), [], created=0)
            await store.ledger.close(chunk_id(action.id, number), empty)
    return True


async def settle_ended(store: Store, action: Action) -> Action:
    """Count what had arrived of an action that has ended while it took chunks; return it as it is then.

    A chunk that was on its way at the end may come behind this: the clean-up counts once more, later.
    """
    arrived = arrived_of(action, await known_chunks(store, action))
    await store.actions.seal_ended(action.id, arrived.rows, arrived.size)
    return await store.actions.get(action.id) or replace(action, total_count=arrived.rows)
