"""Taking an upload: one pass over the stream that unpacks it, stores it, hashes it and finds its records.

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
from pymongo.errors import ConnectionFailure, ServerSelectionTimeoutError, WriteConcernError

from app.adapters.storage import StorageWriter
from app.domain.actions import Status
from app.domain.column_mapping import MappingError
from app.domain.csv_spans import CsvError, Scan, SpanScanner
from app.domain.csv_text import other_text, refuse_reason
from app.domain.entities import Columns, HeaderError, check_header
from app.domain.file_names import clean_file_name
from app.domain.gunzip import MAGIC, Gunzip, GzipError, GzipTooDense
from app.domain.idempotency import request_digest
from app.domain.outcomes import Counts
from app.platform import Platform
from app.settings import Settings
from web import admission, errors
from web.admission import KEY_HEADER
from web.arriving import ArrivingBody
from web.errors import ApiError, as_utf8, bad_request
from web.forms import UploadForm, delimiter_so_far
from web.operations import Problem, too_many

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

#: After these nobody knows whether the database has done what it was asked.
_UNKNOWN_END = (ConnectionFailure, WriteConcernError, TimeoutError, asyncio.CancelledError)

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
    Problem(400, "INVALID_MAPPING", 'mapping must be a JSON object such as {"Kunde": "id", "Notiz": null}.'),
    Problem(400, "INVALID_IDEMPOTENCY_KEY", f"The header {KEY_HEADER} must be sent once."),
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
    Problem(400, "BROKEN_GZIP", "The gzip file ends early: it is not complete."),
    Problem(408, "UPLOAD_TOO_SLOW", "The upload is slower than 4096 bytes per second."),
    Problem(413, "FORM_TOO_LARGE", "Beside the file, the form has more than 2097152 bytes."),
    Problem(
        413,
        "GZIP_TOO_DENSE",
        "The gzip file unpacks to more than 200 times its size: please upload it without compression.",
    ),
    Problem(
        413,
        "STORAGE_LIMIT_REACHED",
        "The files of the account may have 1000000 bytes together, and have 999000 already.",
    ),
    Problem(
        415,
        "UNSUPPORTED_ENCODING",
        "The body of the request is compressed: please compress the file alone, with gzip.",
    ),
    Problem(422, "IDEMPOTENCY_KEY_REUSED", f"This {KEY_HEADER} has been used for another request: send a new one."),
    too_many("TOO_MANY_ACTIVE_ACTIONS", "The account may have 20 actions that have not ended, and has them.", 10),
    Problem(413, "FILE_TOO_LARGE", "The file is larger than the limit of 5368709120 bytes."),
)


class _File:
    """The file part, taken in blocks. What is kept of a packed file is what it unpacks to."""

    def __init__(
        self, settings: Settings, name: str, delimiter: str, writer: StorageWriter, *, said_packed: bool
    ) -> None:
        self.name = name
        self.delimiter = delimiter
        self.size = 0
        self.digest = hashlib.sha256()
        self.scan: Scan
        self._writer = writer
        self._limit = settings.max_upload_bytes
        self._scanner = _scanner(settings, delimiter)
        self._pending = bytearray()
        self._arrived = 0
        self._said_packed = said_packed
        self._max_ratio = settings.max_gzip_ratio
        self._gunzip: Gunzip | None = None
        self._unpacked = bytearray()

    async def take(self, block: bytes) -> None:
        """Add what has arrived.

        Raises:
            ApiError: the content is not CSV, or the file is too large.
            CsvError: a field or a record is too large.
            GzipError: it is packed, and cannot be unpacked.
        """
        self._pending += block
        if len(self._pending) >= _BLOCK:
            await self._flush()

    async def finish(self) -> None:
        """Say that nothing more comes; ``scan`` is what the scanner found. Raises as :meth:`take`."""
        await self._flush()
        if self._gunzip is not None:
            self._gunzip.finish()
            await self._keep(bytes(self._unpacked))
        self.scan = await asyncio.to_thread(self._scanner.finish)

    async def _flush(self) -> None:
        block, self._pending = bytes(self._pending), bytearray()
        if not self._arrived and block:
            self._gunzip = self._unpacker(block)
        self._arrived += len(block)
        if self._gunzip is None:
            await self._keep(block)
            return
        if self._arrived > self._limit:
            raise self._too_large()
        pieces = self._gunzip.feed(block)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            self._unpacked += piece
            if len(self._unpacked) >= _BLOCK:
                block, self._unpacked = bytes(self._unpacked), bytearray()
                await self._keep(block)

    def _unpacker(self, start: bytes) -> Gunzip | None:
        """Return what unpacks the file, if it is packed. Its content says that, whatever its name is."""
        if start.startswith(MAGIC):
            return Gunzip(max_ratio=self._max_ratio, piece=_BLOCK)
        if self._said_packed:
            raise bad_request("The file part has the Content-Encoding gzip, and is not gzip.", "BROKEN_GZIP")
        return None

    async def _keep(self, block: bytes) -> None:
        if not block:
            return
        if not self.size and (reason := refuse_reason(block)):
            raise bad_request(reason, "NOT_CSV")
        self.size += len(block)
        if self.size > self._limit:
            raise self._too_large()
        await asyncio.to_thread(self._digest_and_scan, block)
        await self._writer.write(block)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"The file is larger than the limit of {self._limit} bytes.", "FILE_TOO_LARGE")

    def _digest_and_scan(self, block: bytes) -> None:
        self.digest.update(block)
        self._scanner.feed(block)


async def receive(request: web.Request, platform: Platform, account_id: str) -> tuple[dict[str, Any], bool]:
    """Take the upload of a request; return the stored action, and whether the same request had made it before.

    Raises:
        ApiError: the request or the file is not good; nothing of it is left behind.
    """
    key = await admission.begin(request, platform, account_id)
    if request.content_type != "multipart/form-data":
        raise bad_request(errors.NO_FILE, "FILE_REQUIRED")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _unsupported_encoding("The body of the request is compressed: please compress the file alone, with gzip.")
    action_id = str(ObjectId())
    storage_key, spans_key = f"{action_id}/upload.csv", f"{action_id}/spans"
    async with platform.storage.writer(storage_key) as writer:
        form, file = await _read_form(request, platform.settings, writer)
    storing = False
    try:
        order = UploadForm.read(form)
        delimiter = order.delimiter
        scan = file.scan
        if delimiter != file.delimiter:
            # The field came after the file: records may end elsewhere than was assumed.
            scan = await _scan_stored(platform, storage_key, file.size, delimiter)
        columns = _check_file(order, scan, delimiter)
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
            "fields": None if columns.fields is None else list(columns.fields),
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
        if key is not None:
            action["idempotencyKey"] = key
            action["requestDigest"] = request_digest(form, file.name, file.digest.hexdigest())
        await platform.storage.put(spans_key, scan.index.to_bytes())
        storing = True
        standing = await admission.admit(platform, action)
    except BaseException as error:
        # The action of an insert that breaks off may be stored all the same, and then needs its file.
        if not (storing and isinstance(error, _UNKNOWN_END) and not isinstance(error, ServerSelectionTimeoutError)):
            with suppress(OSError):
                await asyncio.shield(_remove(platform, storage_key, spans_key))
        raise
    replayed = standing["_id"] != action_id
    if replayed:
        with suppress(OSError):
            await asyncio.shield(_remove(platform, storage_key, spans_key))
    return standing, replayed


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
    body = ArrivingBody(request.content, settings)
    try:
        reader = body.parts(request.headers)
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
                packed = _is_packed(part)
                name, delimiter = clean_file_name(part.filename), delimiter_so_far(form)
                file = _File(settings, name, delimiter, writer, said_packed=packed)
                while block := await part.read_chunk(_BLOCK):
                    body.belongs_to_the_file(len(block))
                    await file.take(block)
                await file.finish()
            elif part.name:
                form[as_utf8(part.name)] = await _read_field(part)
    except CsvError as error:
        raise bad_request(str(error), "INVALID_CSV") from None
    except GzipTooDense as error:
        raise ApiError(413, str(error), "GZIP_TOO_DENSE") from None
    except GzipError as error:
        raise bad_request(str(error), "BROKEN_GZIP") from None
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
        # A tab may be the delimiter.
        return value.decode().strip(" \r\n" if part.name == "delimiter" else None)
    except UnicodeDecodeError:
        raise bad_request(f"The field {as_utf8(part.name or '')} is not UTF-8.", "FIELD_NOT_UTF8") from None


def _is_packed(part: BodyPartReader) -> bool:
    """Tell whether the file part says that it is packed.

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
            raise _unsupported_encoding(f"The file part has a {header} that is not supported: please use gzip or none.")
    return False


def _unsupported_encoding(message: str) -> ApiError:
    return ApiError(415, message, "UNSUPPORTED_ENCODING")


def _scanner(settings: Settings, delimiter: str) -> SpanScanner:
    return SpanScanner(
        delimiter=delimiter,
        chunk_rows=settings.batch_size,
        chunk_bytes=settings.chunk_bytes,
        max_field_bytes=settings.max_field_bytes,
        max_record_bytes=settings.max_record_bytes,
    )


def _check_file(order: UploadForm, scan: Scan, delimiter: str) -> Columns:
    if scan.header is None:
        raise bad_request("The file is empty.", "EMPTY_FILE")
    try:
        columns = check_header(order.entity, scan.header, delimiter, order.mapping)
    except MappingError as error:
        raise bad_request(str(error), "INVALID_MAPPING") from None
    except HeaderError as error:
        if kind := other_text(scan.header):
            raise bad_request(f"The file is {kind}, not CSV.", "NOT_CSV") from None
        raise bad_request(str(error), "INVALID_HEADER") from None
    if not scan.row_count:
        raise bad_request("The file has a header but no data rows.", "NO_ROWS")
    return columns
