"""Taking an upload: one pass over the stream that unpacks it, stores it, hashes it and finds its records.

The action is stored last, when everything about the upload is known to be good; whatever is found wrong
before that takes the stored file away again.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from bson import ObjectId

from app.adapters.storage import StorageWriter
from app.admission import Insertion
from app.domain import upload_keys
from app.domain.actions import Status
from app.domain.column_mapping import MappingError
from app.domain.csv_spans import CsvError, Scan
from app.domain.csv_text import other_text
from app.domain.entities import Columns, HeaderError, check_header
from app.domain.file_names import clean_file_name
from app.domain.gunzip import GzipError, GzipTooDense
from app.domain.idempotency import request_digest
from app.domain.outcomes import Counts
from app.platform import Platform
from app.settings import Settings
from web import admission, errors
from web.admission import KEY_HEADER
from web.arriving import ArrivingBody
from web.arriving_file import BLOCK, ArrivingFile, is_packed, scanner_of, unsupported_encoding
from web.errors import ApiError, as_utf8, bad_request
from web.forms import UploadForm, delimiter_so_far
from web.operations import Problem, too_many

log = logging.getLogger(__name__)

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
    Problem(413, "FILE_TOO_LARGE", "The file is larger than the limit of 5368709120 bytes."),
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
)


async def receive(request: web.Request, platform: Platform, account_id: str) -> tuple[dict[str, Any], bool]:
    """Take the upload of a request; return the stored action, and whether the same request had made it before.

    Raises:
        ApiError: the request or the file is not good; nothing of it is left behind.
    """
    key = await admission.begin(request, platform, account_id)
    if request.content_type != "multipart/form-data":
        raise bad_request(errors.NO_FILE, "FILE_REQUIRED")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise unsupported_encoding("The body of the request is compressed: please compress the file alone, with gzip.")
    action_id = str(ObjectId())
    storage_key, spans_key = upload_keys.file_key(action_id), upload_keys.spans_key(action_id)
    async with platform.storage.writer(storage_key) as writer:
        form, file = await _read_form(request, platform.settings, writer)
    insertion = Insertion()
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
        standing = await admission.admit(platform, action, insertion)
    finally:
        # The file goes only when no action can need it: what fails after that never takes it away.
        if not insertion.possible:
            await asyncio.shield(_remove(platform, storage_key, spans_key))
    return standing, standing["_id"] != action_id


async def _remove(platform: Platform, *keys: str) -> None:
    """Take away what an upload has stored; what stays because something is away is for the sweeper."""
    try:
        for key in keys:
            await platform.storage.delete(key)
    except Exception as error:
        log.warning("what a refused upload has stored stays until it is swept: %r", error)


async def _scan_stored(platform: Platform, key: str, size: int, delimiter: str) -> Scan:
    """Find the records of a stored file."""
    scanner = scanner_of(platform.settings, delimiter)
    try:
        for start in range(0, size, BLOCK):
            block = await platform.storage.read(key, start, min(start + BLOCK, size))
            await asyncio.to_thread(scanner.feed, block)
        return scanner.finish()
    except CsvError as error:
        raise bad_request(str(error), "INVALID_CSV") from None


async def _read_form(
    request: web.Request, settings: Settings, writer: StorageWriter
) -> tuple[dict[str, str], ArrivingFile]:
    """Read all parts, in whatever order they come."""
    form: dict[str, str] = {}
    file: ArrivingFile | None = None
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
                packed = is_packed(part)
                name, delimiter = clean_file_name(part.filename), delimiter_so_far(form)
                file = ArrivingFile(settings, name, delimiter, writer, said_packed=packed)
                while block := await part.read_chunk(BLOCK):
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
