"""Messages that nobody but the test delivers."""

from __future__ import annotations

from agents.feeder import feed
from agents.processor import process
from agents.progress import count
from app.context import AppContext
from app.kafka.messages import Chunk, Feed
from tests.support.bench import Bench


async def deliver_all(bench: Bench, context: AppContext, *, chunks: int | None = None) -> None:
    """Deliver what was sent, and what that sends, until nothing is left; at most so many chunks."""
    topics = bench.topics
    while True:
        if topics.feed.sent:
            await feed(Feed.decode(topics.feed.sent.pop(0).value), context)
        elif topics.results.sent:
            [result, *_] = topics.results.results
            topics.results.sent.pop(0)
            await count(result, context)
        elif topics.chunks.sent and chunks != 0:
            chunks = None if chunks is None else chunks - 1
            await process(Chunk.decode(topics.chunks.sent.pop(0).value), context)
        else:
            return
