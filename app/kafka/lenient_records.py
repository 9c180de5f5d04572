"""Reading records whose headers have names that are not UTF-8.

The client of Kafka raises at such a record, each time, and so never reads what is behind it in its partition. A broker
takes these names from anybody. They are read with replacement characters instead; nothing of ours has such a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Slice(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "replace")


class _Buffer(bytearray):
    """Bytes whose parts are decoded whatever they are."""

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return _Slice(found) if isinstance(where, slice) else found


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        if not self._decompressed:
            super()._maybe_uncompress()
            self._buffer = _Buffer(self._buffer)


class _Batch:
    """A batch read by the client's own quick reader, and from the record on that it cannot read by the other."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._quick = DefaultRecordBatch(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._quick:
                read += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(_LenientBatch(self._data), read, None)


class LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The records of a fetch."""

    def next_batch(self, *args: Any, **options: Any) -> Any:
        """Return the next batch."""
        data = self._next_slice
        batch = super().next_batch(*args, **options)
        return _Batch(data) if isinstance(batch, DefaultRecordBatch) else batch


def install() -> None:
    """Let all consumers of this process read so."""
    fetcher.MemoryRecords = LenientRecords
