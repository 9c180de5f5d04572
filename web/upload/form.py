"""Reading the form of an upload: its fields, its file, and what is wrong with either, in whatever order they come."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from app.adapters.storage import StorageWriter
from app.domain.file_names import clean_file_name
from app.domain.printable import as_utf8
from app.settings import Settings
from web.errors.catalogue import (
    BROKEN_MULTIPART,
    FIELD_NOT_UTF8,
    FIELD_TOO_LONG,
    FILE,
    FILE_IS_TEXT,
    FILE_REQUIRED,
    NESTED_MULTIPART,
    TOO_MANY_FILES,
    TOO_MANY_PARTS,
)
from web.errors.problem import ApiError, refusal
from web.upload.fields import UploadForm
from web.upload.sink import BLOCK, UploadSink, is_gzip
from web.upload.stream import UploadStream

#: Largest value of a form field that is not the file, bytes, and most parts of a form.
_MAX_FIELD, _MAX_PARTS = 16 * 1024, 20

#: How much of a file is still read when something is wrong already, so that all of it is reported together, bytes.
_READ_ON = 1024**2

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


@dataclass
class UploadedForm:
    """What an upload was sent with."""

    fields: dict[str, str] = field(default_factory=dict)
    #: None: there is none.
    file: UploadSink | None = None
    #: What is wrong with the file, as far as it was read; it has no scan then.
    faults: list[ApiError] = field(default_factory=list)


async def read_form(request: web.Request, settings: Settings, writer: StorageWriter) -> UploadedForm:
    """Read all parts, in whatever order they come; what the file unpacks to goes to ``writer``.

    Raises:
        ApiError: the form cannot be read, or something is wrong that makes the rest of it not worth reading.
    """
    body = UploadStream(request.content, settings)
    form = UploadedForm()
    try:
        reader = body.parts(request.headers)
        parts = 0
        while (part := await reader.next()) is not None:
            parts += 1
            if parts > _MAX_PARTS:
                raise TOO_MANY_PARTS(limit=_MAX_PARTS)
            if isinstance(part, MultipartReader):
                raise NESTED_MULTIPART()
            if part.name == FILE and part.filename is not None:
                if form.file is not None or form.faults:
                    raise TOO_MANY_FILES()
                await _read_file(form, part, body, settings, writer)
            elif part.name:
                form.fields[as_utf8(part.name)] = await _read_field(part)
    except _BROKEN:
        raise BROKEN_MULTIPART() from None
    if form.file is None:
        # With curl, a field is a text unless its value begins with @.
        form.faults.append(FILE_REQUIRED().explained(FILE_IS_TEXT) if FILE in form.fields else FILE_REQUIRED())
    return form


async def _read_file(
    form: UploadedForm, part: BodyPartReader, body: UploadStream, settings: Settings, writer: StorageWriter
) -> None:
    known = UploadForm.check_so_far(form.fields)
    hints = UploadForm.hints_so_far(form.fields)
    file = UploadSink(settings, clean_file_name(part.filename or ""), hints, writer, declared_gzip=is_gzip(part))
    form.file = file
    read = 0
    while block := await part.read_chunk(BLOCK):
        body.count_as_file(len(block))
        read += len(block)
        if not form.faults:
            form.faults += await _faults_of(file.write(block))
        if (known or form.faults) and read > _READ_ON:
            raise refusal(form.faults + known)
    if not form.faults:
        form.faults += await _faults_of(file.finish())


async def _faults_of(step: Awaitable[None]) -> list[ApiError]:
    """Take a step with the file; return what is wrong with it, if anything is.

    Raises:
        ApiError: it is too large, so that the rest of it is not worth reading.
    """
    try:
        await step
    except ApiError as error:
        if error.status != 400:
            raise
        return [error]
    return []


async def _read_field(part: BodyPartReader) -> str:
    value = b""
    name = as_utf8(part.name or "")
    while block := await part.read_chunk():
        value += block
        if len(value) > _MAX_FIELD:
            raise FIELD_TOO_LONG(name=name, limit=_MAX_FIELD)
    try:
        # A tab may be the delimiter.
        return value.decode().strip(" \r\n" if part.name == "delimiter" else None)
    except UnicodeDecodeError:
        raise FIELD_NOT_UTF8(name=name) from None
