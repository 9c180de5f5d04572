"""Taking an upload: one pass over the stream that unpacks it, stores it, hashes it and finds its records.

The action is stored last, when everything about the upload is known to be good; whatever is found wrong
before that takes the stored file away again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from app.context import AppContext
from app.domain.csv.column_mapping import MappingError
from app.domain.csv.spans import CsvError, Scan, TooManyRowsError
from app.domain.csv.text import other_text
from app.domain.entities import Columns, read_header
from app.domain.idempotency import request_digest
from app.domain.schedules import check_schedule
from app.services.upload import Order, Submitted, Upload
from app.settings import Settings
from web.errors import catalogue
from web.errors.problem import ApiError, Problem, refusal
from web.upload import limits as admission
from web.upload.fields import UploadForm
from web.upload.form import UploadedForm, read_form
from web.upload.sink import UploadSink, scanner_of

#: Every way in which an upload is refused, beside those of any request.
PROBLEMS: tuple[Problem, ...] = (
    catalogue.FILE_REQUIRED,
    catalogue.FIELDS_REQUIRED,
    catalogue.ACTION_TYPE_UNSUPPORTED,
    catalogue.ENTITY_TYPE_UNSUPPORTED,
    catalogue.INVALID_SCHEDULE,
    catalogue.INVALID_DELIMITER,
    catalogue.UNKNOWN_FIELD,
    catalogue.INVALID_MAPPING,
    catalogue.REPEATED_IDEMPOTENCY_KEY,
    catalogue.EMPTY_FILE,
    catalogue.INVALID_HEADER,
    catalogue.NO_ROWS,
    catalogue.NOT_CSV,
    catalogue.INVALID_CSV,
    catalogue.TOO_MANY_FILES,
    catalogue.TOO_MANY_PARTS,
    catalogue.FIELD_TOO_LONG,
    catalogue.FIELD_NOT_UTF8,
    catalogue.BROKEN_MULTIPART,
    catalogue.BROKEN_GZIP,
    catalogue.UPLOAD_TOO_SLOW,
    catalogue.FILE_TOO_LARGE,
    catalogue.FORM_TOO_LARGE,
    catalogue.GZIP_TOO_DENSE,
    catalogue.SCHEDULE_TOO_FAR,
    catalogue.TOO_MANY_ROWS,
    catalogue.TOO_MANY_UPLOADS,
    catalogue.STORAGE_FULL,
    catalogue.TOO_MANY_OPEN_UPLOADS,
    catalogue.STORAGE_LIMIT_REACHED,
    catalogue.UNSUPPORTED_ENCODING,
    catalogue.IDEMPOTENCY_KEY_REUSED,
    catalogue.TOO_MANY_ACTIVE_ACTIONS,
)

#: A stored file is scanned again in blocks of this size, bytes: each is a request to the storage.
_STORED_BLOCK = 8 * 1024**2


async def receive(request: web.Request, context: AppContext, account_id: str) -> Submitted:
    """Take the upload of a request; return the stored action, and whether the same request had made it before.

    Raises:
        ApiError: the request or the file is not good; nothing of it is left behind.
    """
    with admission.refusals(), admission.open_upload(context, account_id):
        return await _receive(request, context, account_id)


async def _receive(request: web.Request, context: AppContext, account_id: str) -> Submitted:
    key = await admission.begin(request, context, account_id)
    if request.content_type != "multipart/form-data":
        raise catalogue.FILE_REQUIRED().explained(catalogue.NO_FORM)
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise catalogue.UNSUPPORTED_ENCODING()
    upload = Upload(context, account_id)
    async with upload.writer() as writer:
        form = await read_form(request, context.settings, writer)
    async with upload.removed_unless_needed():
        asked, file, scan, columns = await _check(form, context, upload.storage_key)
        sha256 = file.digest.hexdigest()
        return await upload.submit(
            Order(
                action_type=asked.action_type,
                entity=asked.entity,
                scheduled_at=asked.scheduled_at,
                file_name=file.name,
                file_size=file.size,
                sha256=sha256,
                columns=columns,
                scan=scan,
                idempotency_key=key,
                request_digest=request_digest(form.fields, file.name, sha256),
            )
        )


async def _scan_stored(context: AppContext, key: str, size: int, delimiter: str) -> Scan:
    """Find the records of a stored file."""
    scanner = scanner_of(context.settings, delimiter)
    try:
        for start in range(0, size, _STORED_BLOCK):
            block = await context.storage.read(key, start, min(start + _STORED_BLOCK, size))
            await asyncio.to_thread(scanner.feed, block)
        return scanner.finish()
    except TooManyRowsError as error:
        raise catalogue.TOO_MANY_ROWS(reason=error) from None
    except CsvError as error:
        raise catalogue.INVALID_CSV(reason=error) from None


async def _check(
    form: UploadedForm, context: AppContext, storage_key: str
) -> tuple[UploadForm, UploadSink, Scan, Columns]:
    """Check the fields and the stored file.

    Raises:
        ApiError: 400, with all that is wrong with them.
    """
    settings = context.settings
    order, wrong = UploadForm.check(form.fields)
    if order is not None:
        wrong += _check_schedule(order, settings)
    if form.file is None or form.faults:
        raise refusal(form.faults + wrong)
    scan = form.file.scan
    if order is not None and not wrong and order.delimiter != scan.delimiter and not scan.declared:
        # The field came after the file: records may end elsewhere than was assumed.
        scan = await _scan_stored(context, storage_key, form.file.size, order.delimiter)
    columns, found = _check_file(scan, order or UploadForm.sound_part(form.fields, wrong), settings.max_columns)
    if order is None or columns is None or wrong or found:
        raise refusal(wrong + found)
    return order, form.file, scan, columns


def _check_schedule(order: UploadForm, settings: Settings) -> list[ApiError]:
    try:
        check_schedule(order.scheduled_at, datetime.now(UTC), settings.schedule_max_days)
    except ValueError as error:
        return [catalogue.SCHEDULE_TOO_FAR(reason=error)]
    return []


def _check_file(scan: Scan, order: UploadForm | None, max_columns: int) -> tuple[Columns | None, list[ApiError]]:
    """Return the columns of a file, and what is wrong with it as far as the form says what it should be."""
    if scan.header is None:
        return None, [catalogue.EMPTY_FILE()]
    columns, faults = None, []
    if order is not None:
        columns, wrong = read_header(
            order.entity, scan.header, _delimiter_of(scan, order), order.mapping, max_columns=max_columns
        )
        if wrong and (kind := other_text(scan.header)):
            return None, [catalogue.NOT_CSV(kind=kind)]
        faults = [
            (catalogue.INVALID_MAPPING if isinstance(error, MappingError) else catalogue.INVALID_HEADER)(reason=error)
            for error in wrong
        ]
    if not scan.row_count:
        faults.append(catalogue.NO_ROWS())
    return columns, faults


def _delimiter_of(scan: Scan, order: UploadForm) -> str:
    # Where something else is wrong, the file was not read again with the delimiter that came after it.
    return scan.delimiter if scan.declared else order.delimiter
