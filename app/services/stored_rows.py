"""The rows of an action as its stored file has them: parsed and validated once more, chunk by chunk."""

from __future__ import annotations

from app.adapters.storage import Storage
from app.domain.actions import Action
from app.domain.csv.spans import Span
from app.domain.entities import Entity, find_entity
from app.domain.rows import CheckedChunk, check_chunk


class StoredRows:
    """The file of an action.

    Raises:
        ValueError: there is no such entity any more.
    """

    def __init__(self, storage: Storage, action: Action) -> None:
        entity = find_entity(action.entity_type)
        if entity is None:
            raise ValueError(f"there is no entity {action.entity_type}")
        self.entity: Entity = entity
        self._storage, self._file = storage, action.file

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
        return check_chunk(self.entity, file.columns, data, file.delimiter, span.first_row)
