"""The chunks of an action as its ledger has them, in the order of the file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from app.adapters.mongo import Ledger
from app.domain.chunk_index import ChunkIndex
from app.domain.csv.spans import Span
from app.domain.outcomes import ChunkOutcome
from app.kafka.messages import chunk_id

#: Chunks looked up in one query.
_PER_READ = 32


class RecordedChunk(NamedTuple):
    """A chunk: its number, from 0, its name in the ledger, its place in the file, and its outcome, if it has one."""

    number: int
    name: str
    span: Span
    outcome: ChunkOutcome | None


async def recorded_chunks(ledger: Ledger, action_id: str, index: ChunkIndex) -> AsyncIterator[RecordedChunk]:
    """Yield every chunk of an action."""
    for first in range(0, len(index), _PER_READ):
        names = {number: chunk_id(action_id, number) for number in range(first, min(first + _PER_READ, len(index)))}
        outcomes = await ledger.outcomes(list(names.values()))
        for (number, name), span in zip(names.items(), index.spans(first, _PER_READ), strict=True):
            yield RecordedChunk(number, name, span, outcomes.get(name))
