"""Where the file of an upload goes: unpacked, taken in (``app/domain/csv/intake.py``) and stored, in one pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from aiohttp import BodyPartReader

from app.adapters.storage import StorageWriter
from app.domain.csv.encodings import EncodingError, UnknownEncoding
from app.domain.csv.gunzip import MAGIC, Gunzip, GzipError, GzipTooDense
from app.domain.csv.intake import Intake, NotText
from app.domain.csv.spans import CsvError, Scan, SpanScanner, TooManyRowsError
from app.settings import Settings
from web.errors.catalogue import (
    BROKEN_GZIP,
    ENCODING_MISMATCH,
    FILE_TOO_LARGE,
    GZIP_TOO_DENSE,
    INVALID_CSV,
    NOT_GZIP,
    NOT_TEXT,
    TOO_MANY_ROWS,
    UNSUPPORTED_FILE_ENCODING,
)

#: Blocks are gathered to this size before they are scanned, hashed and written, bytes.
BLOCK = 256 * 1024


class FileHints(NamedTuple):
    """What an upload says of its file; None: it is to be found out."""

    delimiter: str | None = None
    encoding: str | None = None


class UploadSink:
    """Takes the file part in blocks. What is stored is UTF-8, and of a packed file what it unpacks to."""

    def __init__(
        self, settings: Settings, name: str, hints: FileHints, writer: StorageWriter, *, declared_gzip: bool = False
    ) -> None:
        self.name = name
        #: Bytes that were stored.
        self.size = 0
        self.scan: Scan
        self.intake = Intake(partial(scanner_of, settings), delimiter=hints.delimiter, encoding=hints.encoding)
        self._writer = writer
        self._limit = settings.max_upload_bytes
        self._pending = bytearray()
        #: Bytes as they came, and what they unpack to.
        self._received = self._plain = 0
        self._declared_gzip = declared_gzip
        self._max_ratio = settings.max_gzip_ratio
        self._gunzip: Gunzip | None = None
        self._unpacked = bytearray()

    async def write(self, block: bytes) -> None:
        """Add a block.

        Raises:
            ApiError: 400, the content is not CSV, or not what it is declared to be; 413, the file is too large.
        """
        self._pending += block
        if len(self._pending) >= BLOCK:
            with file_errors():
                await self._flush()

    async def finish(self) -> None:
        """Complete the file; ``scan`` is what the scanner found. Raises as :meth:`write`."""
        with file_errors():
            await self._flush()
            if self._gunzip is not None:
                self._gunzip.finish()
                await self._keep(bytes(self._unpacked))
            rest, self.scan = await asyncio.to_thread(self.intake.finish)
            await self._store(rest)

    async def _flush(self) -> None:
        block, self._pending = bytes(self._pending), bytearray()
        if not self._received and block:
            self._gunzip = self._unpacker(block)
        self._received += len(block)
        if self._gunzip is None:
            await self._keep(block)
            return
        self._check_size(self._received)
        pieces = self._gunzip.feed(block)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            self._unpacked += piece
            if len(self._unpacked) >= BLOCK:
                block, self._unpacked = bytes(self._unpacked), bytearray()
                await self._keep(block)

    def _unpacker(self, start: bytes) -> Gunzip | None:
        """Return what unpacks the file, if it is packed. Its content decides, whatever its name is."""
        if start.startswith(MAGIC):
            return Gunzip(max_ratio=self._max_ratio, piece=BLOCK)
        if self._declared_gzip:
            raise NOT_GZIP()
        return None

    async def _keep(self, block: bytes) -> None:
        self._plain += len(block)
        self._check_size(self._plain)
        if block:
            await self._store(await asyncio.to_thread(self.intake.feed, block))

    async def _store(self, text: bytes) -> None:
        self.size += len(text)
        self._check_size(self.size)
        if text:
            await self._writer.write(text)

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise FILE_TOO_LARGE(limit=self._limit)


@contextmanager
def file_errors() -> Iterator[None]:
    """Raise what the domain says of a file as errors of the API."""
    try:
        yield
    except (NotText, UnknownEncoding) as error:
        raise NOT_TEXT(reason=error) from None
    except EncodingError as error:
        raise ENCODING_MISMATCH(reason=error) from None
    except TooManyRowsError as error:
        raise TOO_MANY_ROWS(reason=error) from None
    except CsvError as error:
        raise INVALID_CSV(reason=error) from None
    except GzipTooDense as error:
        raise GZIP_TOO_DENSE(reason=error) from None
    except GzipError as error:
        raise BROKEN_GZIP(reason=error) from None


def scanner_of(settings: Settings, delimiter: str) -> SpanScanner:
    """Return what finds the records of a file with this delimiter, within the limits of the settings."""
    return SpanScanner(
        delimiter=delimiter,
        chunk_rows=settings.batch_size,
        chunk_bytes=settings.chunk_bytes,
        max_field_bytes=settings.max_field_bytes,
        max_record_bytes=settings.max_record_bytes,
        max_rows=settings.max_rows,
    )


def is_gzip(part: BodyPartReader) -> bool:
    """Return whether the file part is declared to be gzip.

    Raises:
        ApiError: it is encoded in another way.
    """
    for header, plain in (
        ("Content-Encoding", {"identity"}),
        ("Content-Transfer-Encoding", {"7bit", "8bit", "binary"}),
    ):
        encoding = part.headers.get(header, "").strip().lower()
        if header == "Content-Encoding" and encoding in {"gzip", "x-gzip"}:
            return True
        if encoding and encoding not in plain:
            raise UNSUPPORTED_FILE_ENCODING(header=header)
    return False
