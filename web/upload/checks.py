"""Checks of an upload when all of it has been read: its fields, and its file by what the fields say it is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

from app.context import AppContext
from app.domain.csv.column_mapping import MappingError
from app.domain.csv.delimiters import DelimiterSource, Guess, guess_delimiter
from app.domain.csv.encodings import Encoding, EncodingSource, restoring
from app.domain.csv.header import Columns, read_header
from app.domain.csv.other_kinds import other_text
from app.domain.csv.spans import Scan
from app.domain.schedules import check_schedule
from app.settings import Settings
from web.errors.catalogue import EMPTY_FILE, INVALID_HEADER, INVALID_MAPPING, NO_ROWS, NOT_CSV, SCHEDULE_TOO_FAR
from web.errors.problem import ApiError, refusal
from web.upload.fields import UploadForm
from web.upload.form import UploadedForm
from web.upload.sink import FileHints, UploadSink, file_errors, scanner_of

#: A stored file is read again in blocks of this size, bytes: each is a request to the storage.
_STORED_BLOCK = 8 * 1024**2


class CheckedUpload(NamedTuple):
    """An upload that is known to be good: its fields, its stored file, the records of that and its header."""

    fields: UploadForm
    file: UploadSink
    scan: Scan
    delimiter: Guess
    encoding: Encoding
    columns: Columns


async def check_upload(form: UploadedForm, context: AppContext, storage_key: str) -> CheckedUpload:
    """Check the fields and the stored file.

    Raises:
        ApiError: 400, with all that is wrong with them.
    """
    settings = context.settings
    fields, wrong = UploadForm.check(form.fields)
    if fields is not None:
        wrong += _check_schedule(fields, settings)
    if form.file is None or form.faults:
        raise refusal(form.faults + wrong)
    file, judged = form.file, fields or UploadForm.sound_part(form.fields, wrong)
    # What comes after the file may say that it is something else than was assumed.
    if fields is not None and not wrong and fields.encoding and not file.intake.agrees_with(fields.encoding):
        file = await _take_again(context, storage_key, file, fields)
    scan, delimiter = file.scan, _delimiter(file, judged)
    if fields is not None and not wrong and delimiter.delimiter != scan.delimiter:
        scan = await _scan_stored(context, storage_key, file.size, delimiter.delimiter)
    columns, found = _check_file(scan, delimiter.delimiter, judged, settings.max_columns)
    if fields is None or columns is None or wrong or found:
        raise refusal(wrong + found)
    return CheckedUpload(fields, file, scan, delimiter, _encoding(file, fields), columns)


def _check_schedule(fields: UploadForm, settings: Settings) -> list[ApiError]:
    try:
        check_schedule(fields.scheduled_at, datetime.now(UTC), settings.schedule_max_days)
    except ValueError as error:
        return [SCHEDULE_TOO_FAR(reason=error)]
    return []


def _delimiter(file: UploadSink, fields: UploadForm | None) -> Guess:
    """Return the delimiter of a file by all that is known of it."""
    if file.scan.declared:
        return Guess(file.scan.delimiter, DelimiterSource.DECLARED)
    if fields is None:
        return guess_delimiter(file.intake.start)
    if fields.delimiter is not None:
        return Guess(fields.delimiter, DelimiterSource.GIVEN)
    return guess_delimiter(file.intake.start, {*fields.entity.columns, *(fields.mapping or ())})


def _encoding(file: UploadSink, fields: UploadForm) -> Encoding:
    """Return the encoding of a file by all that is known of it: where the upload names it too, it is not a guess."""
    encoding = file.intake.encoding
    if fields.encoding is None or encoding.source is EncodingSource.MARK:
        return encoding
    return encoding._replace(source=EncodingSource.GIVEN, confidence=1.0)


def _check_file(
    scan: Scan, delimiter: str, fields: UploadForm | None, max_columns: int
) -> tuple[Columns | None, list[ApiError]]:
    """Return the columns of a file, and what is wrong with it as far as the form says what it should be."""
    if scan.header is None:
        return None, [EMPTY_FILE()]
    columns, faults = None, []
    if fields is not None:
        columns, wrong = read_header(
            fields.entity,
            scan.header,
            delimiter,
            fields.mapping,
            operation=fields.operation,
            max_columns=max_columns,
        )
        if wrong and (kind := other_text(scan.header)):
            return None, [NOT_CSV(kind=kind)]
        faults = [
            (INVALID_MAPPING if isinstance(error, MappingError) else INVALID_HEADER)(reason=error) for error in wrong
        ]
    if not scan.row_count:
        faults.append(NO_ROWS())
    return columns, faults


async def _scan_stored(context: AppContext, key: str, size: int, delimiter: str) -> Scan:
    """Find the records of a stored file."""
    scanner = scanner_of(context.settings, delimiter)
    with file_errors():
        for start in range(0, size, _STORED_BLOCK):
            block = await context.storage.read(key, start, min(start + _STORED_BLOCK, size))
            await asyncio.to_thread(scanner.feed, block)
        return scanner.finish()


async def _take_again(context: AppContext, key: str, file: UploadSink, fields: UploadForm) -> UploadSink:
    """Take a stored file in again, from the bytes that were sent, in the encoding that the form names; replace it."""
    restore = restoring(file.intake.encoding.name)
    async with context.storage.writer(key) as writer:
        again = UploadSink(context.settings, file.name, FileHints(fields.delimiter, fields.encoding), writer)
        for start in range(0, file.size, _STORED_BLOCK):
            block = await context.storage.read(key, start, min(start + _STORED_BLOCK, file.size))
            await again.write(await asyncio.to_thread(restore, block))
        await again.finish()
    return again
