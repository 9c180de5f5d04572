"""The form of an upload while it arrives: its fields, its file, and what is wrong with either, in whatever order."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from app.adapters.storage import StorageWriter
from app.domain.csv.gunzip import GzipError, GzipTooDense
from app.domain.csv.spans import CsvError, TooManyRowsError
from app.domain.file_names import clean_file_name
from app.settings import Settings
from web.errors import ApiError, Fault, as_utf8, refusal
from web.upload import problems as problems
from web.upload.fields import FILE, UploadForm
from web.upload.problems import MAX_FIELD, MAX_PARTS
from web.upload.sink import BLOCK, UploadSink, is_packed
from web.upload.stream import UploadStream

#: How much of a file is still read when something is wrong already, so that all of it can be told together, bytes.
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
    faults: list[Fault] = field(default_factory=list)


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
            if parts > MAX_PARTS:
                raise problems.TOO_MANY_PARTS.error()
            if isinstance(part, MultipartReader):
                raise problems.BROKEN_MULTIPART.error("The form has a part that is itself multipart.")
            if part.name == FILE and part.filename is not None:
                if form.file is not None or form.faults:
                    raise problems.TOO_MANY_FILES.error()
                await _read_file(form, part, body, settings, writer)
            elif part.name:
                form.fields[as_utf8(part.name)] = await _read_field(part)
    except _BROKEN:
        raise problems.BROKEN_MULTIPART.error() from None
    if form.file is None:
        form.faults.append(problems.no_file(form.fields))
    return form


async def _read_file(
    form: UploadedForm, part: BodyPartReader, body: UploadStream, settings: Settings, writer: StorageWriter
) -> None:
    known = UploadForm.check_so_far(form.fields)
    delimiter = UploadForm.delimiter_so_far(form.fields)
    file = UploadSink(settings, clean_file_name(part.filename or ""), delimiter, writer, said_packed=is_packed(part))
    form.file = file
    read = 0
    while block := await part.read_chunk(BLOCK):
        body.belongs_to_the_file(len(block))
        read += len(block)
        if not form.faults:
            form.faults += await _fault_of(file.take(block))
        if (known or form.faults) and read > _READ_ON:
            raise refusal(form.faults + known)
    if not form.faults:
        form.faults += await _fault_of(file.finish())


async def _fault_of(step: Awaitable[None]) -> list[Fault]:
    """Take a step with the file; return what is wrong with it, if anything is."""
    try:
        await step
    except TooManyRowsError as error:
        raise problems.TOO_MANY_ROWS.error(str(error)) from None
    except CsvError as error:
        return [problems.INVALID_CSV.fault(FILE, str(error))]
    except GzipTooDense as error:
        raise problems.GZIP_TOO_DENSE.error(str(error)) from None
    except GzipError as error:
        return [problems.BROKEN_GZIP.fault(FILE, str(error))]
    except ApiError as error:
        if error.status != 400:
            raise
        return [Fault(FILE, error.code, error.message)]
    return []


async def _read_field(part: BodyPartReader) -> str:
    value = b""
    name = as_utf8(part.name or "")
    while block := await part.read_chunk():
        value += block
        if len(value) > MAX_FIELD:
            raise problems.FIELD_TOO_LONG.error(f"The field {name} is longer than {MAX_FIELD} bytes.")
    try:
        # A tab may be the delimiter.
        return value.decode().strip(" \r\n" if part.name == "delimiter" else None)
    except UnicodeDecodeError:
        raise problems.FIELD_NOT_UTF8.error(f"The field {name} is not UTF-8.") from None
