"""An upload from the request to its action: check the limits, read the form, check it, store the action."""

from __future__ import annotations

from aiohttp import web

from app.context import AppContext
from app.domain.access import Principal
from app.domain.cells import EmptyCells
from app.domain.idempotency import request_digest
from app.services.upload import Order, Submitted, Upload
from web.errors import catalogue
from web.errors.problem import Problem
from web.upload.checks import check_upload
from web.upload.form import read_form
from web.upload.idempotency import read_key
from web.upload.limits import check_quota, limit_errors, open_upload

#: Every way in which an upload is refused, beside those of any request.
PROBLEMS: tuple[Problem, ...] = (
    catalogue.FILE_REQUIRED,
    catalogue.FIELDS_REQUIRED,
    catalogue.ACTION_TYPE_UNSUPPORTED,
    catalogue.ENTITY_TYPE_UNSUPPORTED,
    catalogue.INVALID_SCHEDULE,
    catalogue.INVALID_DELIMITER,
    catalogue.INVALID_ENCODING,
    catalogue.INVALID_EMPTY_CELLS,
    catalogue.INVALID_MAX_FAILURES,
    catalogue.UNKNOWN_FIELD,
    catalogue.INVALID_MAPPING,
    catalogue.REPEATED_IDEMPOTENCY_KEY,
    catalogue.EMPTY_FILE,
    catalogue.INVALID_HEADER,
    catalogue.NO_ROWS,
    catalogue.NOT_CSV,
    catalogue.ENCODING_MISMATCH,
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
    catalogue.TOO_MANY_ACTIVE_ROWS,
)


async def receive(request: web.Request, context: AppContext, principal: Principal) -> Submitted:
    """Take the upload of a request; return the stored action, and whether the same request had made it before.

    Raises:
        ApiError: the request or the file is not good; nothing of it is left behind.
    """
    with limit_errors(), open_upload(context, principal.account_id):
        return await _receive(request, context, principal)


async def _receive(request: web.Request, context: AppContext, principal: Principal) -> Submitted:
    account_id = principal.account_id
    key = read_key(request, account_id)
    await check_quota(request, context, account_id, key)
    if request.content_type != "multipart/form-data":
        raise catalogue.FILE_REQUIRED().explained(catalogue.NO_FORM)
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise catalogue.UNSUPPORTED_ENCODING()
    upload = Upload(context, principal)
    async with upload.writer() as writer:
        form = await read_form(request, context.settings, writer)
    async with upload.removed_unless_needed():
        checked = await check_upload(form, context, upload.storage_key)
        fields, file, sha256 = checked.fields, checked.file, checked.file.intake.digest.hexdigest()
        return await upload.submit(
            Order(
                operation=fields.operation,
                entity=fields.entity,
                scheduled_at=fields.scheduled_at,
                max_failures=fields.max_failures,
                file_name=file.name,
                file_size=file.size,
                sha256=sha256,
                columns=checked.columns,
                scan=checked.scan,
                delimiter=checked.delimiter,
                encoding=checked.encoding,
                empty_cells=(fields.empty_cells or EmptyCells.SKIP) if fields.operation.partial else None,
                idempotency_key=key,
                request_digest=request_digest(form.fields, file.name, sha256),
            )
        )
