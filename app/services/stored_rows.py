"""The rows of an action as its stored file has them: parsed and validated once more, chunk by chunk."""

from __future__ import annotations

import asyncio

from app.adapters.storage import Storage
from app.domain.actions import Action
from app.domain.csv.spans import Span, SpanIndex
from app.domain.entities import Entity, find_entity
from app.domain.operations import find_operation
from app.domain.rows import CheckedChunk, check_chunk


class StoredRows:
    """The file of an action.

    Raises:
        ValueError: there is no such entity or action type any more, or the header does not fit it.
    """

    def __init__(self, storage: Storage, action: Action) -> None:
        entity, operation = find_entity(action.entity_type), find_operation(action.action_type)
        if entity is None or operation is None:
            raise ValueError(f"there is no {action.action_type} of {action.entity_type}")
        self.operation = operation
        #: What the rows have of it.
        self.entity: Entity = action.file.columns.part_of(entity, operation)
        self._storage, self._file = storage, action.file

    async def chunk(self, index: int) -> CheckedChunk:
        """Read the rows of a chunk, given by its index; raises as :meth:`read`."""
        begin, end = SpanIndex.window_range(index, 1)
        [span] = SpanIndex.spans_from_window(await self._storage.read(self._file.spans_key, begin, end))
        return await self.read(span)

    async def read(self, span: Span) -> CheckedChunk:
        """Read, parse and validate the rows of a chunk.

        Raises:
            ValueError: the file ends before the span does.
            app.adapters.storage.ObjectMissing: there is no file.
            OSError: the storage cannot be reached.
        """
        data = await self._storage.read(self._file.storage_key, span.start, span.end)
        if len(data) != span.end - span.start:
            raise ValueError(f"the stored file ends before byte {span.end}")
        file = self._file
        # In a thread, so that a large chunk holds up nobody else.
        return await asyncio.to_thread(
            check_chunk, self.entity, file.columns, data, file.delimiter, span.first_row, file.empty_cells
        )
