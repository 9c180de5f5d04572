"""Every way in which an upload is refused: declared here once, described and raised from here."""

from __future__ import annotations

from collections.abc import Mapping

from web import errors
from web.errors import Fault
from web.openapi.operations import Problem, too_many
from web.upload.fields import FILE

#: Largest value of a form field that is not the file, bytes, and most parts of a form.
MAX_FIELD, MAX_PARTS = 16 * 1024, 20

KEY_HEADER = "Idempotency-Key"

FILE_REQUIRED = Problem(400, "FILE_REQUIRED", errors.NO_FILE)
INVALID_MAPPING = Problem(
    400, "INVALID_MAPPING", 'mapping must be a JSON object such as {"Kunde": "id", "Notiz": null}.'
)
INVALID_KEY = Problem(400, "INVALID_IDEMPOTENCY_KEY", f"The header {KEY_HEADER} must be sent once.")
EMPTY_FILE = Problem(400, "EMPTY_FILE", "The file is empty.")
INVALID_HEADER = Problem(400, "INVALID_HEADER", "Missing columns: email, status. The file has: id, name.")
NO_ROWS = Problem(400, "NO_ROWS", "The file has a header but no data rows.")
NOT_CSV = Problem(400, "NOT_CSV", "The file is a PNG image, not CSV.")
INVALID_CSV = Problem(400, "INVALID_CSV", "Row 3 has a field larger than the limit.")
TOO_MANY_FILES = Problem(400, "TOO_MANY_FILES", "Please upload one file only.")
TOO_MANY_PARTS = Problem(400, "TOO_MANY_PARTS", f"The form has more than {MAX_PARTS} parts.")
FIELD_TOO_LONG = Problem(400, "FIELD_TOO_LONG", f"The field note is longer than {MAX_FIELD} bytes.")
FIELD_NOT_UTF8 = Problem(400, "FIELD_NOT_UTF8", "The field scheduledAt is not UTF-8.")
BROKEN_MULTIPART = Problem(
    400, "BROKEN_MULTIPART", "The multipart body is broken: it ends early or its parts cannot be told apart."
)
BROKEN_GZIP = Problem(400, "BROKEN_GZIP", "The gzip file ends early: it is not complete.")
GZIP_TOO_DENSE = Problem(
    413,
    "GZIP_TOO_DENSE",
    "The gzip file unpacks to more than 200 times its size: please upload it without compression.",
)
SCHEDULE_TOO_FAR = Problem(
    400, "SCHEDULE_TOO_FAR", "scheduledAt may be at most 366 days ahead, and is 2100-01-01T00:00:00.000Z."
)
TOO_MANY_ROWS = Problem(413, "TOO_MANY_ROWS", "The file has more than 20,000,000 rows. Please upload it in parts.")
TOO_MANY_UPLOADS = Problem(
    503, "TOO_MANY_UPLOADS", "This worker takes 200 uploads at the same time, and no more. Please try again."
)
STORAGE_FULL = Problem(
    507, "STORAGE_FULL", "The storage has no room for this upload. Please try again when room has been made."
)
UNSUPPORTED_ENCODING = Problem(
    415, "UNSUPPORTED_ENCODING", "The body of the request is compressed: please compress the file alone, with gzip."
)
_MISSPELLED = 'There is no field "scheduled_at": did you mean scheduledAt?'

#: All of them.
PROBLEMS = (
    FILE_REQUIRED,
    Problem(400, "FIELDS_REQUIRED", errors.FIELDS_REQUIRED),
    Problem(400, "ACTION_TYPE_UNSUPPORTED", errors.ACTION_TYPE_UNSUPPORTED),
    Problem(400, "ENTITY_TYPE_UNSUPPORTED", errors.ENTITY_TYPE_UNSUPPORTED),
    Problem(
        400,
        "INVALID_SCHEDULE",
        "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, not 'tomorrow'.",
        more={
            "errors": [
                {
                    "field": "scheduledAt",
                    "code": "INVALID_SCHEDULE",
                    "message": "scheduledAt must be an ISO 8601 date and time such as 2030-01-31T09:00:00Z, "
                    "not 'tomorrow'.",
                },
                {
                    "field": "delimeter",
                    "code": "UNKNOWN_FIELD",
                    "message": 'There is no field "delimeter": did you mean delimiter?',
                },
            ]
        },
    ),
    Problem(400, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab."),
    Problem(400, "UNKNOWN_FIELD", _MISSPELLED),
    INVALID_MAPPING,
    INVALID_KEY,
    EMPTY_FILE,
    INVALID_HEADER,
    NO_ROWS,
    NOT_CSV,
    INVALID_CSV,
    TOO_MANY_FILES,
    TOO_MANY_PARTS,
    FIELD_TOO_LONG,
    FIELD_NOT_UTF8,
    BROKEN_MULTIPART,
    BROKEN_GZIP,
    Problem(408, "UPLOAD_TOO_SLOW", "The upload is slower than 4096 bytes per second."),
    Problem(413, "FILE_TOO_LARGE", "The file is larger than the limit of 5368709120 bytes."),
    Problem(413, "FORM_TOO_LARGE", "Beside the file, the form has more than 2097152 bytes."),
    GZIP_TOO_DENSE,
    SCHEDULE_TOO_FAR,
    TOO_MANY_ROWS,
    TOO_MANY_UPLOADS,
    STORAGE_FULL,
    too_many("TOO_MANY_OPEN_UPLOADS", "The account has 50 uploads under way, and may have no more.", 5),
    Problem(
        413,
        "STORAGE_LIMIT_REACHED",
        "The files of the account may have 1000000 bytes together, and have 999000 already.",
    ),
    UNSUPPORTED_ENCODING,
    Problem(422, "IDEMPOTENCY_KEY_REUSED", f"This {KEY_HEADER} has been used for another request: send a new one."),
    too_many("TOO_MANY_ACTIVE_ACTIONS", "The account may have 20 actions that have not ended, and has them.", 10),
)


def no_file(fields: Mapping[str, str]) -> Fault:
    """Return the fault of a form without a file; where its ``file`` is a text, with what curl needs to send one."""
    if FILE not in fields:
        return FILE_REQUIRED.fault(FILE)
    return Fault(
        FILE,
        FILE_REQUIRED.code,
        "The field file is a text, and no file: with curl, -F file=@name sends the file of that name.",
        documented=errors.NO_FILE,
    )


def no_form() -> Fault:
    """Return the fault of a body that is no form."""
    return Fault(
        FILE,
        FILE_REQUIRED.code,
        "The body is no form with a file in it (multipart/form-data): with curl, send the file by -F file=@name, "
        "not by -d or --data-binary.",
        documented=errors.NO_FILE,
    )
