"""A file on its way: read from the disk in pieces, packed with gzip, never in memory as a whole."""

from __future__ import annotations

import hashlib
import json
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final

_PIECE: Final = 256 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Quick, and nearly as small: the network is to be the bottleneck, and not the packing.
_LEVEL: Final = 3
_GZIP_WINDOW: Final = 31

#: Told how many bytes of the file have been read so far.
OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is to be done with a file; None: the server decides (docs/reference/files.md).

    Attributes:
        entity_type: What the rows are, such as ``Contact``.
        action_type: ``BULK_UPDATE``, ``BULK_CREATE``, ``BULK_PATCH`` or ``BULK_DELETE``.
        mapping: Which column is which field; a column of None is left out.
        delimiter: A character, or ``comma``, ``semicolon``, ``pipe``, ``tab``.
        encoding: Such as ``windows-1252``.
        scheduled_at: When it is to be done, ISO 8601 or a time; without offset UTC is meant.
        max_failures: How many rows may fail before it is paused: ``100``, or ``5%``.
        empty_cells: What an empty cell of a patch means: ``skip``, ``clear`` or ``reject``.
    """

    entity_type: str = "Contact"
    action_type: str = "BULK_UPDATE"
    mapping: Mapping[str, str | None] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    scheduled_at: datetime | str | None = None
    max_failures: str | int | None = None
    empty_cells: str | None = None

    def form(self) -> dict[str, str]:
        """Return the fields of the form."""
        at = self.scheduled_at
        said = {
            "actionType": self.action_type,
            "entityType": self.entity_type,
            "mapping": None if self.mapping is None else json.dumps(dict(self.mapping), ensure_ascii=False),
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "scheduledAt": at.isoformat() if isinstance(at, datetime) else at,
            "maxFailures": None if self.max_failures is None else str(self.max_failures),
            "emptyCells": self.empty_cells,
        }
        return {name: value for name, value in said.items() if value is not None}

    def key_of(self, file: BinaryIO, name: str) -> str:
        """Return the idempotency key of this upload of a file: the same bytes, name and options have the same.

        The file is read from its beginning to its end.
        """
        file.seek(0)
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        told = json.dumps([sorted(self.form().items()), name, digest.hexdigest()])
        return f"bulk-{hashlib.sha256(told.encode()).hexdigest()}"


def new_key() -> str:
    """Return an idempotency key that no other upload has."""
    return f"bulk-{uuid.uuid4().hex}"


def is_packed(file: BinaryIO) -> bool:
    """Tell whether a file is packed with gzip already."""
    file.seek(0)
    return file.read(2) == _GZIP_MAGIC


class PackedReader:
    """The bytes of a file as they are sent, packed on the way; ``seek(0)`` begins again.

    It has no length, so that the body is sent in chunks and its size need not be known.
    """

    def __init__(self, file: BinaryIO, *, packed: bool, on_bytes: OnBytes | None = None) -> None:
        self._file = file
        self._packed = packed
        self._on_bytes = on_bytes
        self.seek(0)

    def seek(self, offset: int) -> int:
        """Begin again; no other place can be gone to."""
        if offset:
            raise OSError("only the beginning can be gone to")
        self._read = self._file.seek(0)
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW) if self._packed else None
        self._done = False
        return 0

    def read(self, size: int = -1) -> bytes:
        """Return some of the next bytes, none at the end; how many is not up to the caller."""
        while not self._done:
            piece = self._file.read(_PIECE)
            self._read += len(piece)
            if self._on_bytes is not None and piece:
                self._on_bytes(self._read)
            self._done = not piece
            if self._packer is None:
                return piece
            packed = self._packer.compress(piece) if piece else self._packer.flush()
            if packed:
                return packed
        return b""
