"""The rows of an action, parsed and validated once more: those of its file, or of the chunks that came over Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from app.adapters.mongo import Store
from app.adapters.storage import ObjectMissing, Storage
from app.domain import upload_keys
from app.domain.actions import Action
from app.domain.chunk_index import ChunkIndex
from app.domain.csv.defusing import restore
from app.domain.csv.spans import Span, SpanIndex
from app.domain.csv.text import RawRecords, decoded, raw_records
from app.domain.entities import Entity, find_entity
from app.domain.events import bounded, email_of
from app.domain.inline_rows import header_of
from app.domain.operations import find_operation
from app.domain.outcomes import RowOutcome
from app.domain.packed_exceptions import derivable
from app.domain.result_files import record_ids
from app.domain.rows import CheckedChunk, RowsUnreadable, check_chunk, check_records
from app.domain.streams import StreamIndex, stored_range


class StoredRows:
    """The rows of an action.

    Raises:
        RowsUnreadable: there is no such entity or action type any more, or the header does not fit it.
    """

    def __init__(self, store: Store, storage: Storage, action: Action) -> None:
        entity, operation = find_entity(action.entity_type), find_operation(action.action_type)
        if entity is None or operation is None:
            raise RowsUnreadable(f"there is no {action.action_type} of {action.entity_type}")
        self.operation = operation
        #: What the rows have of it.
        self.entity: Entity = action.file.columns.part_of(entity, operation)
        self._store, self._storage, self._file, self._action = store, storage, action.file, action
        #: Of an action whose rows came over Kafka, where its chunks are, as far as that was asked for.
        self._keys: dict[int, str] = {}
        columns = action.file.columns
        #: Where a column stands that a message calls so.
        self._places = dict(zip(columns.labels(self.entity), columns.positions(self.entity), strict=True))

    async def index(self) -> ChunkIndex:
        """Read where all chunks are; raises as :meth:`spans`."""
        if self._action.stream is not None:
            return await self._stream_index(range(self._action.chunk_count))
        try:
            return SpanIndex.from_bytes(await self._storage.read(self._file.spans_key))
        except ObjectMissing:
            raise
        except ValueError as error:
            raise RowsUnreadable(str(error)) from None

    async def _stream_index(self, numbers: Iterable[int]) -> StreamIndex:
        chunks = await self._store.stream_chunks.some(self._action.id, numbers)
        self._keys |= {
            number: upload_keys.chunk_key(self._action.id, number, chunk.sha256)
            for number, chunk in chunks.items()
            if not chunk.vacant
        }
        return StreamIndex(chunks, self._action.chunk_count)

    async def spans(self, first: int, count: int) -> list[Span]:
        """Read where ``count`` chunks from ``first`` on stand in the file.

        Raises:
            RowsUnreadable: what is stored of it says so of fewer.
            app.adapters.storage.ObjectMissing: nothing is stored of it.
            OSError: the storage cannot be reached.
        """
        if self._action.stream is not None:
            return (await self._stream_index(range(first, first + count))).spans(first, count)
        begin, end = SpanIndex.window_range(first, count)
        data = await self._storage.read(self._file.spans_key, begin, end)
        if len(data) != end - begin:
            raise RowsUnreadable(f"the index of its file ends before chunk {first + count - 1}")
        return SpanIndex.spans_from_window(data)

    async def read(self, span: Span) -> CheckedChunk:
        """Read, parse and validate the rows of a chunk. Raises as :meth:`data`."""
        data = await self.data(span.start, span.end)
        # In a thread, so that a large chunk holds up nobody else.
        return await asyncio.to_thread(self.check, data, span.first_row)

    async def data(self, start: int, end: int) -> bytes:
        """Return the bytes of chunks that follow each other.

        Raises:
            RowsUnreadable: the file ends before them.
            app.adapters.storage.ObjectMissing: there is no file.
            OSError: the storage cannot be reached.
        """
        key, first, last = self._file.storage_key, start, end
        if self._action.stream is not None:
            number, first, last = stored_range(start, end)
            key = self._keys.get(number, "")
        data = await self._storage.read(key, first, last) if key else b""
        if len(data) != end - start:
            raise RowsUnreadable(f"the stored file ends before byte {last}")
        return data

    async def header(self) -> bytes:
        """Return the header record, with everything else that stands before the first row; raises as :meth:`data`."""
        if self._action.stream is not None:
            return header_of(self._file.columns)
        [first] = await self.spans(0, 1)
        return await self.data(0, first.start)

    def check(self, data: bytes, first_row: int) -> CheckedChunk:
        """Parse and validate the rows of a chunk."""
        file = self._file
        return check_chunk(self.entity, file.columns, data, file.delimiter, first_row, file.empty_cells)

    def records(self, data: bytes) -> RawRecords:
        """Return the rows of a chunk as they are written."""
        return raw_records(decoded(data), self._file.delimiter)

    def explained(self, records: RawRecords, first_row: int, entries: Sequence[RowOutcome]) -> list[RowOutcome]:
        """Return entries of rows (ascending) of a chunk with what follows from the file: message and column.

        Raises:
            RowsUnreadable: they are not entries of these rows.
        """
        file, places = self._file, [entry.row - first_row for entry in entries if derivable(entry)]
        if places and places[-1] >= len(records.texts):
            raise RowsUnreadable(f"the stored rows from {first_row} on are not those of the ledger")
        cells = [records.cells(place, file.delimiter) for place in places]
        open_quote = records.open_quote and places[-1:] == [len(records.texts) - 1]
        checked = check_records(self.entity, file.columns, cells, open_quote, 0, file.empty_cells)
        reasons = {first_row + places[failure.row]: failure for failure in checked.failures}
        return [reasons[entry.row]._replace(row=entry.row) if entry.row in reasons else entry for entry in entries]

    async def explain(self, index: int, entries: Sequence[RowOutcome]) -> list[RowOutcome]:
        """Return entries of a chunk as :meth:`explained` does. Raises as it, :meth:`spans` and :meth:`data`."""
        [span] = await self.spans(index, 1)
        data = await self.data(span.start, span.end)
        return await asyncio.to_thread(lambda: self.explained(self.records(data), span.first_row, entries))

    async def about(self, index: int, key: str) -> list[int]:
        """Return the rows of a chunk, by number, that are about a record. Raises as :meth:`spans` and :meth:`data`."""
        [span] = await self.spans(index, 1)
        data = await self.data(span.start, span.end)
        ids = await asyncio.to_thread(lambda: self.ids(self.records(data)))
        return [row for row, found in enumerate(ids, span.first_row) if found == key]

    def cell(self, records: RawRecords, place: int, label: str | None) -> str | None:
        """Return what stands in the column of a row that messages call so; None: there is nothing."""
        position = None if label is None else self._places.get(label)
        cells = records.cells(place, self._file.delimiter)
        return None if position is None or position >= len(cells) else self._value(cells, position)

    def names(self, records: RawRecords, places: Iterable[int]) -> list[tuple[str | None, str | None]]:
        """Return for some rows the id of the record and the e-mail address, as events have them.

        Raises:
            RowsUnreadable: there are less rows.
        """
        key, email = (self._position(name) for name in (self.entity.key, "email"))
        found = []
        for place in places:
            if place >= len(records.texts):
                raise RowsUnreadable("the stored rows are not those of the ledger")
            cells = records.cells(place, self._file.delimiter)
            found.append((bounded(self._value(cells, key).strip()), email_of(self._value(cells, email))))
        return found

    def _position(self, field: str) -> int | None:
        columns = self.entity.columns
        return self._file.columns.positions(self.entity)[columns.index(field)] if field in columns else None

    def _value(self, cells: Sequence[str], position: int | None) -> str:
        if position is None or position >= len(cells):
            return ""
        return restore(cells[position]) if self._file.columns.of_results else cells[position]

    def ids(self, records: RawRecords) -> list[str]:
        """Return for each row the id of the record that it is about, "" where it is none."""
        return record_ids(self.entity, self._file.columns, records, self._file.delimiter)


def without_file(entry: RowOutcome) -> RowOutcome:
    """Return the entry of a row with what can be told of it when its file cannot be read any more."""
    if derivable(entry):
        return entry._replace(message="The row is not valid; its file is not stored any more, which would say why.")
    return entry
