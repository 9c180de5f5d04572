"""Every error that the API answers with, declared once: raised, described and tested from here.

Where the domain finds out what is wrong, the words are the domain's: the message is its ``reason``, and the example is
what it says of such a request.
"""

from __future__ import annotations

from codecs import BOM_UTF32_LE
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.adapters.authentication import INVALID_KEY, what_to_send
from app.domain.access import DEFAULT_ACCOUNT, Role, check_account
from app.domain.account_limits import StorageFull, TooManyActive, TooManyActiveRows
from app.domain.actions import Status
from app.domain.api_keys import KeyState, check_key_name, parse_expiry
from app.domain.csv.column_mapping import parse_mapping
from app.domain.csv.encodings import ENCODING_NAMES, WINDOWS_1252, Transcoder
from app.domain.csv.gunzip import Gunzip, GzipTooDense
from app.domain.csv.header import read_header
from app.domain.csv.other_kinds import other_text
from app.domain.csv.spans import SpanScanner, TooManyRowsError
from app.domain.dead_letters import Obstacle
from app.domain.entities import ENTITIES
from app.domain.failure_limits import FailureLimit
from app.domain.faults import Dependency
from app.domain.idempotency import check_key
from app.domain.nearest import suggestion
from app.domain.schedules import check_schedule, parse_schedule
from app.domain.streams import MOST_CHUNKS, AlreadyClosed, Declared
from web import headers
from web.errors.problem import Problem
from web.openapi.models import Away, NotAllowed, Retried, TooManyRequests

#: The part of an upload's form that is no field.
FILE = "file"

#: A message that is the domain's.
_REASON = "{reason}"


def _reason(step: Callable[[], object]) -> Mapping[str, str]:
    """Return what the domain says of a request that is wrong, as the parameter of an example."""
    try:
        step()
    except ValueError as error:
        return {"reason": str(error)}
    raise AssertionError("the example of an error is none")


# Of any request

_UNEXPECTED = "An unexpected error occurred. Please try again later."

INVALID_HTTP = Problem(400, "BAD_REQUEST", "The request is not valid HTTP.")
INTERNAL = Problem(500, "INTERNAL", _UNEXPECTED)
UNKNOWN_PARAMETER = Problem(
    400,
    "UNKNOWN_PARAMETER",
    'There is no query parameter "{name}"{suggestion}',
    {"name": "sort", "suggestion": suggestion("sort", ["limit", "status", "cursor"])},
)

#: Seconds after which a request that needs an unavailable service may be sent again.
_LATER = {"Retry-After": "5"}

DEPENDENCY_AWAY = Problem(
    503,
    "SERVICE_UNAVAILABLE",
    "The {dependency} is away. Please try again later.",
    {"dependency": Dependency.DATABASE},
    headers=_LATER,
    extra={"dependency": "dependency"},
    body=Away,
)
#: Which dependency it was is not known.
TIMED_OUT = DEPENDENCY_AWAY.worded(_UNEXPECTED)

# Who may

INVALID_ACCOUNT = Problem(
    400, "INVALID_ACCOUNT", f"The header {headers.ACCOUNT} {_REASON}.", _reason(lambda: check_account("a:b"))
)

_CHALLENGE = {"WWW-Authenticate": "{challenge}"}

CREDENTIAL_REQUIRED = Problem(
    401,
    "CREDENTIAL_REQUIRED",
    _REASON,
    {"reason": what_to_send(takes_tokens=True), "challenge": ""},
    headers=_CHALLENGE,
)
INVALID_CREDENTIAL = Problem(
    401, "INVALID_CREDENTIAL", _REASON, {"reason": INVALID_KEY, "challenge": ""}, headers=_CHALLENGE
)
CROSS_SITE = Problem(
    403, "CROSS_SITE", "A browser has sent this for a page of another site, which may not change anything here."
)
UNKNOWN_HOST = Problem(
    403, "UNKNOWN_HOST", "The request calls this server by a name that is none of its own: ALLOWED_HOSTS lists them."
)
FORBIDDEN = Problem(
    403,
    "FORBIDDEN",
    "This needs the role {needed}, and the credential has the role {role}.",
    {"needed": Role.ADMIN, "role": Role.OPERATOR},
)
PLATFORM_ONLY = Problem(
    403,
    "PLATFORM_ONLY",
    f"This is about the platform and no account: it is shown to admins of the account {DEFAULT_ACCOUNT}.",
)
TOKEN_KEYS_UNAVAILABLE = Problem(
    503,
    "TOKEN_KEYS_UNAVAILABLE",
    "The token cannot be checked now, because the keys of its issuer are not to be had.",
    headers=_LATER,
)

# How much


def _too_many(code: str, message: str, retry_after: int, **example: Any) -> Problem:
    """Return the problem that the account asks for more than it may; ``retry_after`` is in whole seconds."""
    return Problem(
        429,
        code,
        message,
        {**example, "retry_after": retry_after},
        headers={"Retry-After": "{retry_after}"},
        extra={"retryAfter": "retry_after"},
        title="Too Many Requests",
        body=TooManyRequests,
    )


#: What a rate limit counts, in the words of a client.
COUNTED = {"uploads": "uploads", "reads": "requests other than uploads"}

RATE_LIMITED = _too_many(
    "RATE_LIMITED",
    "The account may send {limit} {counted} in {seconds} seconds.",
    12,
    limit=600,
    counted=COUNTED["reads"],
    seconds=60,
)
RATE_LIMITS_UNAVAILABLE = Problem(
    503,
    "RATE_LIMITS_UNAVAILABLE",
    "Requests cannot be counted now, and none passes uncounted. Please try again later.",
    headers=_LATER,
)

# Lists and single things

INVALID_LIMIT = Problem(
    400, "INVALID_LIMIT", "limit must be a number from 1 to {highest}, not {sent!r}.", {"highest": 500, "sent": "0"}
)
INVALID_CURSOR = Problem(400, "INVALID_CURSOR", "cursor must be one that a Link header gave.")
INVALID_STATUS = Problem(400, "INVALID_STATUS", "status must be one of {known}.", {"known": ", ".join(Status)})
INVALID_STATE = Problem(400, "INVALID_STATE", "state must be one of {known}.", {"known": ", ".join(KeyState)})
INVALID_SEARCH = Problem(400, "INVALID_SEARCH", "{reason}.", {"reason": "row must be the number of a row, from 1"})
NOT_ACCEPTABLE = Problem(
    406, "NOT_ACCEPTABLE", "The answer can be {offered}, and Accept wants none of these.", {"offered": "text/csv"}
)
ROWS_UNREADABLE = Problem(
    410,
    "ROWS_UNREADABLE",
    "The rows of this action cannot be read any more: {reason}.",
    {"reason": "its file is not stored any more"},
)
ACTION_NOT_FOUND = Problem(404, "ACTION_NOT_FOUND", "Bulk action not found")
ENTITY_NOT_FOUND = Problem(
    404,
    "ENTITY_NOT_FOUND",
    'There is no entity "{name}"{suggestion}',
    {"name": "contacts", "suggestion": suggestion("contacts", ENTITIES)},
)
RECORD_NOT_FOUND = Problem(404, "RECORD_NOT_FOUND", "Nothing is known of such a record.")
#: What the present status of an action does not allow.
TRANSITION_NOT_ALLOWED = Problem(
    409,
    "TRANSITION_NOT_ALLOWED",
    "The action is {status}: it cannot be {asked}.",
    {"status": Status.COMPLETED, "asked": "moved to another time"},
    extra={"status": "status"},
    body=NotAllowed,
)
NOT_A_STREAM = Problem(409, "NOT_A_STREAM", "This action has a file: only one whose rows come over Kafka is closed.")
ALREADY_CLOSED = Problem(409, "ALREADY_CLOSED", _REASON, {"reason": AlreadyClosed(Declared(rows=1000, chunks=2))})
NOTHING_TO_RETRY = Problem(
    409, "NOTHING_TO_RETRY", "No row of this action has failed, or none that a retry has not done since."
)
ALREADY_RETRIED = Problem(
    409,
    "ALREADY_RETRIED",
    "The rows of this action that failed are retried by the action {retry}, which has not ended.",
    {"retry": "6b04d285235ca65e4442eb34"},
    extra={"retriedBy": "retry"},
    body=Retried,
)
NOT_SETTLED = Problem(
    409, "NOT_SETTLED", "Rows of this action are still being finished or replayed. Please try again in a moment."
)
API_KEY_NOT_FOUND = Problem(404, "API_KEY_NOT_FOUND", "API key not found")
TOO_MANY_API_KEYS = Problem(
    409,
    "TOO_MANY_API_KEYS",
    "The account has {limit} active API keys, and may have no more: revoke one first.",
    {"limit": 100},
)
#: It would outlive the time in which everybody is an admin.
API_IS_OPEN = Problem(
    409,
    "API_IS_OPEN",
    "The API is open (AUTH_MODE=none), so nobody has proved to be an admin: python -m app keys create makes a key.",
)
DEAD_LETTER_NOT_FOUND = Problem(404, "DEAD_LETTER_NOT_FOUND", "Dead letter not found")
#: Why a dead letter cannot be replayed.
OBSTACLES = {obstacle: Problem(409, obstacle.name, obstacle.value) for obstacle in Obstacle}
ALREADY_REPLAYED = Problem(409, "ALREADY_REPLAYED", "This dead letter has been replayed already.")

# JSON bodies

INVALID_BODY = Problem(400, "INVALID_BODY", "The body of the request must be a JSON object.")
NOTHING_TO_CHANGE = Problem(
    400, "NOTHING_TO_CHANGE", "The body names nothing that is to be changed: send scheduledAt.", where="scheduledAt"
)
BODY_TOO_LARGE = Problem(
    413, "BODY_TOO_LARGE", "The body of the request has more than {limit} bytes.", {"limit": 65536}
)
BODY_TOO_SLOW = Problem(
    408,
    "BODY_TOO_SLOW",
    "The body of the request did not arrive within {seconds} seconds.",
    {"seconds": 30},
    # RFC 9110, 15.5.9: the connection is of no further use.
    headers={"Connection": "close"},
)

INVALID_REASON = Problem(
    400, "INVALID_REASON", "reason must be text of at most {limit} characters.", {"limit": 500}, where="reason"
)

INVALID_ROLE = Problem(400, "INVALID_ROLE", "role must be one of {known}.", {"known": ", ".join(Role)}, where="role")
INVALID_KEY_NAME = Problem(
    400, "INVALID_KEY_NAME", f"name {_REASON}.", _reason(lambda: check_key_name("\t")), where="name"
)
INVALID_EXPIRY = Problem(
    400,
    "INVALID_EXPIRY",
    f"expires {_REASON}.",
    _reason(lambda: parse_expiry("soon", datetime(2026, 1, 1, tzinfo=UTC))),
    where="expires",
)

INVALID_DECLARATION = Problem(
    400,
    "INVALID_DECLARATION",
    "Send how many rows or chunks the action has, or both: whole numbers, at most {rows:,} and {chunks:,}.",
    {"rows": 2**32 - 1, "chunks": MOST_CHUNKS},
)
INVALID_SOURCE = Problem(
    400,
    "INVALID_SOURCE",
    'source must be "stream": a file is sent as a form (multipart/form-data).',
    where="source",
)

# The fields and headers of an upload

FIELDS_REQUIRED = Problem(400, "FIELDS_REQUIRED", "Both entityType and actionType fields are required.")
ACTION_TYPE_UNSUPPORTED = Problem(400, "ACTION_TYPE_UNSUPPORTED", "The specified actionType is not supported.")
ENTITY_TYPE_UNSUPPORTED = Problem(400, "ENTITY_TYPE_UNSUPPORTED", "The specified entityType is not supported.")
UNKNOWN_FIELD = Problem(
    400,
    "UNKNOWN_FIELD",
    'There is no field "{name}"{suggestion}',
    {"name": "scheduled_at", "suggestion": suggestion("scheduled_at", ["scheduledAt"])},
)
INVALID_SCHEDULE = Problem(
    400,
    "INVALID_SCHEDULE",
    _REASON,
    _reason(lambda: parse_schedule("tomorrow")),
    where="scheduledAt",
    others=(UNKNOWN_FIELD(name="delimeter", suggestion=suggestion("delimeter", ["delimiter"])).at("delimeter"),),
)
SCHEDULE_TOO_FAR = Problem(
    400,
    "SCHEDULE_TOO_FAR",
    _REASON,
    _reason(lambda: check_schedule(datetime(2100, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), 366)),
    where="scheduledAt",
)
INVALID_DELIMITER = Problem(400, "INVALID_DELIMITER", "delimiter must be one of , ; | or tab.")
#: curl takes the ; of -F delimiter=; for the beginning of something else.
EMPTY_DELIMITER = INVALID_DELIMITER.worded(
    "delimiter is empty: send one of the words comma, semicolon, pipe and tab, or leave it out."
)
INVALID_ENCODING = Problem(
    400, "INVALID_ENCODING", f"encoding must be auto or one of {', '.join(ENCODING_NAMES)}.", where="encoding"
)
INVALID_EMPTY_CELLS = Problem(
    400, "INVALID_EMPTY_CELLS", "emptyCells must be one of skip, clear and reject.", where="emptyCells"
)
EMPTY_CELLS_WITHOUT_USE = INVALID_EMPTY_CELLS.worded(
    "emptyCells is for BULK_PATCH: with {action_type} a row says everything of its record.", action_type="BULK_UPDATE"
)
INVALID_MAX_FAILURES = Problem(
    400, "INVALID_MAX_FAILURES", _REASON, _reason(lambda: FailureLimit.parse("some")), where="maxFailures"
)
INVALID_MAPPING = Problem(400, "INVALID_MAPPING", _REASON, _reason(lambda: parse_mapping("[]")), where="mapping")
REPEATED_IDEMPOTENCY_KEY = Problem(
    400, "INVALID_IDEMPOTENCY_KEY", f"The header {headers.IDEMPOTENCY_KEY} must be sent once."
)
INVALID_IDEMPOTENCY_KEY = REPEATED_IDEMPOTENCY_KEY.worded(
    "{sent_as} {reason}.", sent_as=f"The header {headers.IDEMPOTENCY_KEY}", **_reason(lambda: check_key(""))
)
IDEMPOTENCY_KEY_REUSED = Problem(
    422,
    "IDEMPOTENCY_KEY_REUSED",
    f"This {headers.IDEMPOTENCY_KEY} has been used for another request: send a new one.",
)

# The form of an upload

BROKEN_MULTIPART = Problem(
    400, "BROKEN_MULTIPART", "The multipart body is broken: it ends early or its parts cannot be told apart."
)
NESTED_MULTIPART = BROKEN_MULTIPART.worded("The form has a part that is itself multipart.")
TOO_MANY_FILES = Problem(400, "TOO_MANY_FILES", "Please upload one file only.")
TOO_MANY_PARTS = Problem(400, "TOO_MANY_PARTS", "The form has more than {limit} parts.", {"limit": 20})
FIELD_TOO_LONG = Problem(
    400, "FIELD_TOO_LONG", "The field {name} is longer than {limit} bytes.", {"name": "note", "limit": 16384}
)
FIELD_NOT_UTF8 = Problem(400, "FIELD_NOT_UTF8", "The field {name} is not UTF-8.", {"name": "scheduledAt"})
FORM_TOO_LARGE = Problem(
    413, "FORM_TOO_LARGE", "Beside the file, the form has more than {limit} bytes.", {"limit": 2097152}
)
UPLOAD_TOO_SLOW = Problem(
    408,
    "UPLOAD_TOO_SLOW",
    "The upload is slower than {rate} bytes per second.",
    {"rate": 4096},
    # RFC 9110, 15.5.9: the connection is of no further use.
    headers={"Connection": "close"},
)
UPLOAD_IDLE = UPLOAD_TOO_SLOW.worded("Nothing arrived for {seconds:g} seconds.", seconds=30)
UPLOAD_OVERDUE = UPLOAD_TOO_SLOW.worded("The upload did not arrive within {seconds:g} seconds.", seconds=3600)
UNSUPPORTED_ENCODING = Problem(
    415, "UNSUPPORTED_ENCODING", "The body of the request is compressed: please compress the file alone, with gzip."
)
UNSUPPORTED_FILE_ENCODING = UNSUPPORTED_ENCODING.worded(
    "The file part has a {header} that is not supported: please use gzip or none.", header="Content-Encoding"
)

# The file of an upload

FILE_REQUIRED = Problem(400, "FILE_REQUIRED", "Please upload a CSV file to proceed.", where=FILE)
#: What curl needs to send a file, where something else was sent.
FILE_IS_TEXT = "The field file is a text, and no file: with curl, -F file=@name sends the file of that name."
NO_FORM = (
    "The body is no form with a file in it (multipart/form-data): with curl, send the file by -F file=@name, "
    "not by -d or --data-binary."
)
EMPTY_FILE = Problem(400, "EMPTY_FILE", "The file is empty.", where=FILE)
NOT_CSV = Problem(400, "NOT_CSV", "The file is {kind}, not CSV.", {"kind": other_text(b"<html>")}, where=FILE)
NOT_TEXT = NOT_CSV.worded(_REASON, **_reason(lambda: Transcoder().feed(BOM_UTF32_LE)))
ENCODING_MISMATCH = Problem(
    400,
    "ENCODING_MISMATCH",
    _REASON,
    _reason(lambda: Transcoder(WINDOWS_1252).feed(b"id,name\n1,Ada\x81\n")),
    where=FILE,
)
INVALID_CSV = Problem(
    400,
    "INVALID_CSV",
    _REASON,
    _reason(
        lambda: SpanScanner(
            delimiter=",", chunk_rows=1, chunk_bytes=1, max_field_bytes=2**17, max_record_bytes=2**20, max_rows=9
        ).feed(b"id,name\n1,Ada\n2,Bob\n3," + b"x" * 2**18)
    ),
    where=FILE,
)
INVALID_HEADER = Problem(
    400,
    "INVALID_HEADER",
    _REASON,
    {"reason": str(read_header(ENTITIES["Contact"], b"id,name", ",", None, max_columns=2)[1][0])},
    where=FILE,
)
NO_ROWS = Problem(400, "NO_ROWS", "The file has a header but no data rows.", where=FILE)
BROKEN_GZIP = Problem(400, "BROKEN_GZIP", _REASON, _reason(Gunzip(max_ratio=200).finish), where=FILE)
NOT_GZIP = BROKEN_GZIP.worded("The file part has the Content-Encoding gzip, and is not gzip.")
FILE_TOO_LARGE = Problem(
    413, "FILE_TOO_LARGE", "The file is larger than the limit of {limit} bytes.", {"limit": 5368709120}
)
GZIP_TOO_DENSE = Problem(413, "GZIP_TOO_DENSE", _REASON, {"reason": GzipTooDense(200)})
TOO_MANY_ROWS = Problem(413, "TOO_MANY_ROWS", _REASON, {"reason": TooManyRowsError(20_000_000)})

# Room for an upload

TOO_MANY_UPLOADS = Problem(
    503,
    "TOO_MANY_UPLOADS",
    "This worker takes {limit} uploads at the same time, and no more. Please try again.",
    {"limit": 200},
    headers=_LATER,
)
TOO_MANY_OPEN_UPLOADS = _too_many(
    "TOO_MANY_OPEN_UPLOADS", "The account has {limit} uploads under way, and may have no more.", 5, limit=50
)
TOO_MANY_DOWNLOADS = Problem(
    503,
    "TOO_MANY_DOWNLOADS",
    "This worker sends the results of {limit} actions at the same time, and no more. Please try again.",
    {"limit": 50},
    headers=_LATER,
)
TOO_MANY_OPEN_DOWNLOADS = _too_many(
    "TOO_MANY_OPEN_DOWNLOADS",
    "The account has {limit} downloads of results under way, and may have no more.",
    5,
    limit=10,
)
TOO_MANY_LOOKUPS = Problem(
    503,
    "TOO_MANY_LOOKUPS",
    "This worker answers {limit} searches and histories at the same time, and no more. Please try again.",
    {"limit": 50},
    headers=_LATER,
)
TOO_MANY_OPEN_LOOKUPS = _too_many(
    "TOO_MANY_OPEN_LOOKUPS",
    "The account has {limit} searches and histories under way, and may have no more at once.",
    5,
    limit=10,
)
TOO_MANY_STREAMS = Problem(
    503,
    "TOO_MANY_STREAMS",
    "This worker sends {limit} streams of events at the same time, and no more. Please try again.",
    {"limit": 1000},
    headers=_LATER,
)
TOO_MANY_OPEN_STREAMS = _too_many(
    "TOO_MANY_OPEN_STREAMS", "The account has {limit} streams of events open, and may have no more.", 5, limit=200
)
TOO_MANY_ACTIVE_ACTIONS = _too_many("TOO_MANY_ACTIVE_ACTIONS", _REASON, 10, reason=TooManyActive(20))
TOO_MANY_ACTIVE_ROWS = _too_many("TOO_MANY_ACTIVE_ROWS", _REASON, 10, reason=TooManyActiveRows(1_000_000, 999_000))
STORAGE_LIMIT_REACHED = Problem(413, "STORAGE_LIMIT_REACHED", _REASON, {"reason": StorageFull(1_000_000, 999_000)})
STORAGE_FULL = Problem(
    507, "STORAGE_FULL", "The storage has no room for this upload. Please try again when room has been made."
)

#: All of them, by the names that they have here.
CATALOGUE: Mapping[str, Problem] = {
    **{name: value for name, value in globals().items() if isinstance(value, Problem)},
    **{obstacle.name: problem for obstacle, problem in OBSTACLES.items()},
}

#: Those with which a limit refuses a request: of its size, of its account, or of what this worker does at once.
LIMITS: Sequence[Problem] = (
    *(problem for problem in CATALOGUE.values() if problem.status in (413, 429, 507)),
    *(TOO_MANY_UPLOADS, TOO_MANY_DOWNLOADS, TOO_MANY_LOOKUPS, TOO_MANY_STREAMS, TOO_MANY_API_KEYS),
)
