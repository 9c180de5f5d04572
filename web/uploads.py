"""Taking an upload: one pass over the stream that stores it, hashes it and finds its records.

The action is stored last, when everything about the upload is known to be good; whatever is found wrong
before that takes the stored file away again.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from bson import ObjectId

from app.adapters.storage import StorageWriter
from app.domain.actions import Status
from app.domain.csv_spans import CsvError, Scan, SpanScanner
from app.domain.csv_text import refuse_reason
from app.domain.entities import Columns, Entity, HeaderError, check_header
from app.domain.outcomes import Counts
from app.platform import Platform
from app.settings import Settings
from web import errors
from web.errors import ApiError, as_utf8, bad_request
from web.forms import UploadForm, delimiter_so_far
from web.operations import Problem

#: Blocks are gathered to this size before they are scanned, hashed and written, bytes.
_BLOCK = 256 * 1024
#: Largest value of a form field that is not the file, bytes, and most parts of a form.
_MAX_FIELD, _MAX_PARTS = 16 * 1024, 20

#: What aiohttp raises for a body that is no form: RuntimeError is for a form that misuses ``_charset_``.
_BROKEN = (
    ValueError,
    AssertionError,
    LookupError,
    EOFError,
    RuntimeError,
    HttpProcessingError,
    web.RequestPayloadError,
)

#: Every way in which an upload is refused.
PROBLEMS = (
    Problem(400, "FILE_REQUIRED", errors.NO_FILE),
    Problem(400, "FIELDS_REQUIRED", errors.FIELDS_REQUIRED),
    Problem(400, "ACTION_TYPE_UNSUPPORTED", errors.ACTION_TYPE_UNSUPPORTED),
    Problem(400, "ENTITY_TYPE_UNSUPPORTED", errors.ENTITY_TYPE_UNSUPPORTED),
    Problem(
        400,
        "INVALID_SCHEDULE",
        "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not 'tomorrow'.",
    ),
    Problem(400, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab."),
    Problem(400, "EMPTY_FILE", "The file is empty."),
    Problem(400, "INVALID_HEADER", "Missing columns: email, status. The file has: id, name."),
    Problem(400, "NO_ROWS", "The file has a header but no data rows."),
    Problem(400, "NOT_CSV", "The file is a PNG image, not CSV."),
    Problem(400, "INVALID_CSV", "Row 3 has a field larger than the limit."),
    Problem(400, "TOO_MANY_FILES", "Please upload one file only."),
    Problem(400, "TOO_MANY_PARTS", f"The form has more than {_MAX_PARTS} parts."),
    Problem(400, "FIELD_TOO_LONG", f"The field note is longer than {_MAX_FIELD} bytes."),
    Problem(400, "FIELD_NOT_UTF8", "The field scheduledAt is not UTF-8."),
    Problem(400, "BROKEN_MULTIPART", "The multipart body is broken: it ends early or its parts cannot be told apart."),
    Problem(413, "FILE_TOO_LARGE", "The file is larger than the limit of 5368709120 bytes."),
)


class _File:
    """The file part, taken in blocks."""

    def __init__(self, settings: Settings, name: str, delimiter: str, writer: StorageWriter) -> None:
        self.name = name
        self.delimiter = delimiter
        self.size = 0
        self.digest = hashlib.sha256()
        self.scan: Scan
        self._writer = writer
        self._limit = settings.max_upload_bytes
        self._scanner = _scanner(settings, delimiter)
        self._pending = bytearray()

    async def take(self, block: bytes) -> None:
        """Add what has arrived.

        Raises:
            ApiError: the content is not CSV, or the file is too large.
            CsvError: a field or a record is too large.
        """
        self._pending += block
        if len(self._pending) >= _BLOCK:
            await self._flush()

    async def finish(self) -> None:
        """Say that nothing more comes; ``scan`` is what the scanner found. Raises as :meth:`take`."""
        await self._flush()
        self.scan = await asyncio.to_thread(self._scanner.finish)

    async def _flush(self) -> None:
        block, self._pending = bytes(self._pending), bytearray()
        if not block:
            return
        if not self.size and (reason := refuse_reason(block)):
            raise bad_request(reason, "NOT_CSV")
        self.size += len(block)
        if self.size > self._limit:
            raise ApiError(413, f"The file is larger than the limit of {self._limit} bytes.", "FILE_TOO_LARGE")
        await asyncio.to_thread(self._digest_and_scan, block)
        await self._writer.write(block)

    def _digest_and_scan(self, block: bytes) -> None:
        self.digest.update(block)
        self._scanner.feed(block)


async def receive(request: web.Request, platform: Platform, account_id: str) -> dict[str, Any]:
    """Take the upload of a request; return the stored action.

    Raises:
        ApiError: the request or the file is not good; nothing of it is left behind.
    """
    if request.content_type != "multipart/form-data":
        raise bad_request(errors.NO_FILE, "FILE_REQUIRED")
    action_id = str(ObjectId())
    storage_key, spans_key = f"{action_id}/upload.csv", f"{action_id}/spans"
    async with platform.storage.writer(storage_key) as writer:
        form, file = await _read_form(request, platform.settings, writer)
    try:
        order = UploadForm.read(form)
        delimiter = order.delimiter
        scan = file.scan
        if delimiter != file.delimiter:
            # The field came after the file: records may end elsewhere than was assumed.
            scan = await _scan_stored(platform, storage_key, file.size, delimiter)
        columns = _check_file(order.entity, scan, delimiter)
        now = datetime.now(UTC)
        action = {
            "_id": action_id,
            "accountId": account_id,
            "actionType": order.action_type,
            "entityType": order.entity.name,
            "status": Status.SCHEDULED if order.scheduled_at else Status.QUEUED,
            "totalCount": scan.row_count,
            "chunkCount": len(scan.index),
            **Counts().to_document(),
            "columns": list(columns.names),
            "ignoredColumns": list(columns.ignored(order.entity)),
            "delimiter": delimiter,
            "fileName": file.name,
            "fileSize": file.size,
            "sha256": file.digest.hexdigest(),
            "storageKey": storage_key,
            "spansKey": spans_key,
            "scheduledAt": order.scheduled_at,
            "createdAt": now,
            "updatedAt": now,
        }
        await platform.storage.put(spans_key, scan.index.to_bytes())
        await platform.store.actions.add(action)
    except BaseException:
        with suppress(OSError):
            await asyncio.shield(_remove(platform, storage_key, spans_key))
        raise
    return action


async def _remove(platform: Platform, *keys: str) -> None:
    for key in keys:
        await platform.storage.delete(key)


async def _scan_stored(platform: Platform, key: str, size: int, delimiter: str) -> Scan:
    """Find the records of a stored file."""
    scanner = _scanner(platform.settings, delimiter)
    try:
        for start in range(0, size, _BLOCK):
            block = await platform.storage.read(key, start, min(start + _BLOCK, size))
            await asyncio.to_thread(scanner.feed, block)
        return scanner.finish()
    except CsvError as error:
        raise bad_request(str(error), "INVALID_CSV") from None


async def _read_form(request: web.Request, settings: Settings, writer: StorageWriter) -> tuple[dict[str, str], _File]:
    """Read all parts, in whatever order they come."""
    form: dict[str, str] = {}
    file: _File | None = None
    try:
        reader = await request.multipart()
        parts = 0
        while (part := await reader.next()) is not None:
            parts += 1
            if parts > _MAX_PARTS:
                raise bad_request(f"The form has more than {_MAX_PARTS} parts.", "TOO_MANY_PARTS")
            if isinstance(part, MultipartReader):
                raise bad_request("The form has a part that is itself multipart.", "BROKEN_MULTIPART")
            if part.name == "file" and part.filename is not None:
                if file is not None:
                    raise bad_request("Please upload one file only.", "TOO_MANY_FILES")
                file = _File(settings, as_utf8(part.filename)[:255], delimiter_so_far(form), writer)
                while block := await part.read_chunk(_BLOCK):
                    await file.take(block)
                await file.finish()
            elif part.name:
                form[as_utf8(part.name)] = await _read_field(part)
    except CsvError as error:
        raise bad_request(str(error), "INVALID_CSV") from None
    except _BROKEN:
        raise bad_request(
            "The multipart body is broken: it ends early or its parts cannot be told apart.",
            "BROKEN_MULTIPART",
        ) from None
    if file is None:
        raise bad_request(errors.NO_FILE, "FILE_REQUIRED")
    return form, file


async def _read_field(part: BodyPartReader) -> str:
    value = b""
    while block := await part.read_chunk():
        value += block
        if len(value) > _MAX_FIELD:
            raise bad_request(
                f"The field {as_utf8(part.name or '')} is longer than {_MAX_FIELD} bytes.", "FIELD_TOO_LONG"
            )
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        raise bad_request(f"The field {as_utf8(part.name or '')} is not UTF-8.", "FIELD_NOT_UTF8") from None


def _scanner(settings: Settings, delimiter: str) -> SpanScanner:
    return SpanScanner(
        delimiter=delimiter,
        chunk_rows=settings.batch_size,
        chunk_bytes=settings.chunk_bytes,
        max_field_bytes=settings.max_field_bytes,
        max_record_bytes=settings.max_record_bytes,
    )


def _check_file(entity: Entity, scan: Scan, delimiter: str) -> Columns:
    if scan.header is None:
        raise bad_request("The file is empty.", "EMPTY_FILE")
    try:
        columns = check_header(entity, scan.header, delimiter)
    except HeaderError as error:
        raise bad_request(str(error), "INVALID_HEADER") from None
    if not scan.row_count:
        raise bad_request("The file has a header but no data rows.", "NO_ROWS")
    return columns
