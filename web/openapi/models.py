"""What the API answers, as pydantic models for its description.

The views answer with plain dicts, which cost nothing to write as JSON; tests hold every answer against these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from app.domain.access import Role
from app.domain.actions import Status
from app.domain.api_keys import MAX_NAME, KeyState
from app.domain.cells import EmptyCells
from app.domain.csv.delimiters import DelimiterSource
from app.domain.csv.encodings import EncodingSource
from app.domain.events import EventType, Level
from app.domain.faults import Dependency
from app.domain.outcomes import RowStatus
from app.domain.workers import WorkerState

_ID = "6b04d285235ca65e4442eb33"

ActionId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$", examples=[_ID])]
Count = Annotated[int, Field(ge=0)]
_IGNORED = "Columns of the file that the entity does not have."
#: Not in every answer: absent, never null.
Absent = SkipJsonSchema[None]


def _model(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra={"examples": list(examples)},
        # Built when the description is first asked for: all of them would be a tenth of a worker's imports.
        defer_build=True,
    )


class FaultOfRequest(BaseModel):
    """One thing that is wrong with a request."""

    model_config = _model()

    field: str | None = Field(description="The field, parameter or header that is wrong; null: none of them.")
    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]+$", description="For a program.")
    message: str = Field(description="For a person.")


class Error(BaseModel):
    """Why a request was not carried out."""

    model_config = _model()

    error: str = Field(description="For a person.")
    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]+$", description="For a program.")
    request_id: str = Field(description="Also in the header `X-Request-ID`, and in the logs.")
    errors: list[FaultOfRequest] | Absent = Field(
        default=None, description="All that is wrong, where that is more than `error` says; `error` is the first."
    )


class Away(Error):
    """Something that the request needs is away."""

    dependency: Dependency | Absent = Field(default=None, description="Which kind of thing that is.")


class NotAllowed(Error):
    """The present status of an action does not allow what was asked for."""

    status: Status = Field(description="The present status.")


class Retried(Error):
    """There is a retry of the action."""

    retried_by: ActionId = Field(description="The action that retries it.")


class TooManyRequests(Error):
    """The account has asked for more than it may."""

    error: Literal["Too Many Requests"]
    message: str = Field(description="How much it may, for a person.")
    retry_after: int = Field(ge=0, description="Seconds, as in the header `Retry-After`.")


#: What a file was taken for.
_UNDERSTOOD: dict[str, Any] = {
    "delimiter": ",",
    "delimiterSource": "detected",
    "encoding": "utf-8",
    "encodingSource": "detected",
    "encodingConfidence": 1.0,
}


class _Understood(BaseModel):
    delimiter: str = Field(description="What was taken for the delimiter of the file.")
    delimiter_source: DelimiterSource | None = Field(
        description="How that is known: the file's first line says it, the upload says it, header and rows show it, or "
        "nothing shows it (a single column). Null: an older version has not said."
    )
    encoding: Literal["utf-8", "utf-16le", "utf-16be", "windows-1252", "iso-8859-15"] = Field(
        description="What the file was written in; it is kept as UTF-8."
    )
    encoding_source: EncodingSource | None = Field(
        description="How that is known: by the byte-order mark, because the upload says it, or by the bytes of the "
        "file. Null: an older version has not said."
    )
    encoding_confidence: Annotated[float, Field(gt=0, le=1)] | None = Field(
        description="How sure that is. 1: nothing else is possible or allowed; less: the share of what speaks for it."
    )
    empty_cells: EmptyCells | Absent = Field(
        default=None, description="What an empty cell means, where rows need not say everything of their record."
    )


class Accepted(_Understood):
    """An upload that was taken."""

    model_config = _model(
        {
            "actionId": _ID,
            "status": "QUEUED",
            "message": "Success! Your bulk action has been queued for processing.",
            "totalCount": 4,
            "scheduledAt": None,
            **_UNDERSTOOD,
            "ignoredColumns": [],
        }
    )

    action_id: ActionId
    status: Literal["QUEUED", "SCHEDULED"]
    message: str
    total_count: Count = Field(description="Rows of the file, exactly.")
    scheduled_at: datetime | None = Field(description="When it will be done, with the offset; null: now.")
    ignored_columns: list[str] = Field(description=_IGNORED)


#: What is told of an action that was just opened.
OPENED = "Success! Your bulk action is open for rows."


class OpenedStream(BaseModel):
    """An action that was opened for rows that come over Kafka."""

    model_config = _model(
        {
            "actionId": _ID,
            "status": "OPEN",
            "message": OPENED,
            "streamToken": "3q2-7wEXAMPLEk1Zb0f2m9sVgqvU7dKXo4yT5cWn8hA",
            "topic": "bulk-action",
            "chunkRows": 10_000,
            "chunkBytes": 2_097_152,
        }
    )

    action_id: ActionId
    status: Literal["OPEN"]
    message: str
    stream_token: str = Field(description="For the header `stream-token` of each message; it is not told again.")
    topic: str = Field(description="The Kafka topic that takes the rows.")
    chunk_rows: Count = Field(description="Most rows of a message.")
    chunk_bytes: Count = Field(description="Most bytes of its rows, as CSV.")


_COUNTS = {"totalCount": 4, "processedCount": 4, "successCount": 2, "failureCount": 1, "skippedCount": 1}
_DETAILS = {
    "duplicateCount": 1,
    "createdCount": 2,
    "updatedCount": 0,
    "unchangedCount": 0,
    "deletedCount": 0,
    "unprocessedCount": 0,
    "chunkCount": 1,
}


class _Counted(BaseModel):
    total_count: Count | None = Field(
        description="Rows of the file. Null: they come over Kafka, and may not all be there."
    )
    processed_count: Count = Field(description="Rows with an outcome: success + failure + skipped.")
    success_count: Count
    failure_count: Count
    skipped_count: Count
    duplicate_count: Count = Field(description="Of the skipped rows, those whose record another row owns.")
    created_count: Count
    updated_count: Count
    unchanged_count: Count
    deleted_count: Count
    unprocessed_count: Count = Field(description="Rows that never ran, because the action ended before their turn.")
    chunk_count: Count | None = Field(description="Parts in which they are worked on; null as `totalCount`.")


#: An action in a list.
_LISTED: dict[str, Any] = {
    "actionId": _ID,
    "actionType": "BULK_UPDATE",
    "entityType": "Contact",
    "status": "COMPLETED",
    **_COUNTS,
    "createdAt": "2026-11-23T23:55:49.253Z",
    **_DETAILS,
    "scheduledAt": None,
    "startedAt": "2026-11-23T23:55:49.367Z",
    "completedAt": "2026-11-23T23:55:49.597Z",
    "updatedAt": "2026-11-23T23:55:49.597Z",
    "fileName": "contacts.csv",
    "fileSize": 168,
    "sha256": "84b7b79acf4654ce9fc277a393b0c9594ad764bfa327980c3ddf6b4acbb461bc",
    "maxFailures": "5%",
    "createdBy": "key 1f0c8a2e",
    "cancelledBy": None,
    "retryOf": None,
    "retriedBy": None,
    "dispatchAttempts": 1,
    "lastDispatchError": None,
    "expiresAt": None,
    "error": None,
}


class CommonFailure(BaseModel):
    """A kind of failure of an action's rows."""

    model_config = _model({"code": "INVALID_EMAIL", "column": "email", "count": 90, "firstRow": 3})

    code: str
    column: str | None = Field(description="The column that is wrong; null: it is the row as a whole, or not known.")
    count: Count = Field(description="Rows that have it.")
    first_row: int = Field(ge=1, description="The first of them.")


class Transition(BaseModel):
    """A change of an action's status, or of when it is to begin."""

    model_config = _model({"status": "QUEUED", "at": "2026-11-23T23:55:49.253Z", "by": "key 1f0c8a2e", "reason": None})

    status: Status = Field(description="The status from then on.")
    at: datetime
    by: str = Field(description="Who has asked for it; `platform`: nobody, it came by itself.")
    reason: str | None


class ListedAction(_Counted):
    """A bulk action in a list: what became of its columns is left to the single action."""

    model_config = _model(_LISTED)

    action_id: ActionId
    action_type: str
    entity_type: str
    status: Status
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime | None
    file_name: str | None
    file_size: Annotated[int, Field(ge=0)] | None = Field(description="Bytes as the file is kept: unpacked, UTF-8.")
    sha256: str | None = Field(description="The digest of these.")
    max_failures: str | None = Field(description="How many rows may fail before it is paused.")
    created_by: str | None = Field(description="Whose credential made it.")
    cancelled_by: str | None = Field(description="Whose credential cancelled it.")
    retry_of: ActionId | None = Field(description="The action whose failed rows it has.")
    retried_by: ActionId | None = Field(description="The action that has its failed rows.")
    dispatch_attempts: Count = Field(description="How often its start was tried.")
    last_dispatch_error: str | None = Field(description="Why it could not be started, the last time that it could not.")
    expires_at: datetime | None = Field(
        description="When it is deleted by itself, with all that belongs to it but its records; "
        "null: it has not ended, or is kept for ever."
    )
    error: str | None = Field(description="Why the action is FAILED.")


class StreamState(BaseModel):
    """What is known of rows that come over Kafka."""

    model_config = _model(
        {
            "receivedRows": 12_000,
            "receivedChunks": 12,
            "refusedChunks": 0,
            "declaredRows": 20_000,
            "declaredChunks": None,
            "closedBy": "key 1e114bd5bfb64a8d",
            "waitingSince": "2026-11-23T23:55:49.597Z",
        }
    )

    received_rows: Count = Field(description="Rows that have come, exactly once the action takes no more.")
    received_chunks: Count
    refused_chunks: Count = Field(description="Messages with the right token that were refused: see the dead letters.")
    declared_rows: Count | None = Field(description="How many rows it was closed with.")
    declared_chunks: Count | None = Field(description="How many chunks it was closed with.")
    closed_by: str | None = Field(description="Whose credential closed it.")
    waiting_since: datetime | None = Field(description="Since when it waits for more; null: it does not.")


class Action(_Understood, ListedAction):
    """A bulk action."""

    model_config = _model(
        {
            **_LISTED,
            **_UNDERSTOOD,
            "mapping": None,
            "ignoredColumns": [],
            "commonFailures": [],
            "stream": None,
            "history": [
                {"status": "QUEUED", "at": "2026-11-23T23:55:49.253Z", "by": "key 1f0c8a2e", "reason": None},
                {"status": "PROCESSING", "at": "2026-11-23T23:55:49.367Z", "by": "platform", "reason": None},
                {"status": "COMPLETED", "at": "2026-11-23T23:55:49.597Z", "by": "platform", "reason": None},
            ],
        }
    )

    mapping: dict[str, str | None] | None = Field(description="What the columns of the file were said to be.")
    ignored_columns: list[str] | None = Field(description=_IGNORED)
    stream: StreamState | None = Field(description="What has come over Kafka; null: its rows are in a file.")
    common_failures: list[CommonFailure] = Field(
        description="What was wrong most often when it was paused for `maxFailures`, in the chunks with most failures."
    )
    history: list[Transition] = Field(description="Its transitions, the latest 50; of an older action none.")


class Deleted(BaseModel):
    """An action that is being deleted."""

    model_config = _model({"actionId": _ID})

    action_id: ActionId


class Statistics(_Counted):
    """The counters of an action, its speed and the time it still needs."""

    model_config = _model(
        {
            "actionId": _ID,
            "status": "COMPLETED",
            **_COUNTS,
            "pendingCount": 0,
            **_DETAILS,
            "rowsPerSecond": 17.4,
            "etaSeconds": 0.0,
            "updatedAt": "2026-11-23T23:55:49.597Z",
        }
    )

    action_id: ActionId
    status: Status
    pending_count: Count | None = Field(description="Rows whose turn is yet to come; null as `totalCount`.")
    rows_per_second: float = Field(ge=0, description="The mean since the start.")
    eta_seconds: float | None = Field(
        description="By the speed of the last seconds; null while it cannot be told, and while the action is paused; "
        "0 once it has ended."
    )
    updated_at: datetime | None


class ServerSentEvent(BaseModel):
    """What a stream of events consists of. Comments, which begin with a colon, are to be ignored."""

    model_config = _model(
        {
            "event": "status",
            "id": "1795813102417",
            "data": '{"actionId": "6b04d285235ca65e4442eb33", "status": "QUEUED"}',
        }
    )

    event: str | None = Field(None, description="`status` or `progress`.")
    id: str | None = Field(None, description="To be sent back in `Last-Event-ID`.")
    data: str | None = Field(None, description="The JSON of the counters (`Statistics`).")
    retry: int | None = Field(None, description="Milliseconds after which to come again.")


class _Numbered(BaseModel):
    chunk: int | Absent = Field(default=None, ge=0, description="Of a row that came over Kafka: its chunk.")
    place: int | Absent = Field(default=None, ge=1, description="Of a row that came over Kafka: its place in that.")


class Row(_Numbered):
    """What became of a row."""

    model_config = _model(
        {"row": 1, "status": "SUCCESS", "code": "CREATED"},
        {
            "row": 3,
            "status": "FAILED",
            "code": "INVALID_EMAIL",
            "message": 'email is not an email address: "nobody"',
            "column": "email",
        },
        {
            "row": 4,
            "status": "SKIPPED",
            "code": "DUPLICATE",
            "message": "Row 1 of this file has the same record.",
            "ownerRow": 1,
        },
    )

    row: int = Field(
        ge=1,
        description="Its number in the file, from 1; the header is not a row. Of rows that came over Kafka those of "
        "chunk n begin behind 10,000 n.",
    )
    status: RowStatus
    code: str
    message: str | Absent = Field(default=None, description="Why it did not succeed.")
    column: str | Absent = Field(default=None, description="The column that is wrong.")
    owner_row: int | Absent = Field(default=None, description="The row of the file that owns the record.")
    original_row: int | Absent = Field(
        default=None, description="Of a retry: the number of the row in the file of the action that it retries."
    )


class ListedEntity(BaseModel):
    """Something that can be imported."""

    model_config = _model(
        {
            "entityType": "Contact",
            "description": "A person one can write to.",
            "fields": ["id", "name", "email", "status"],
            "required": ["id", "name", "email", "status"],
            "key": "id",
            "unique": ["email"],
        }
    )

    entity_type: str = Field(description="As an upload names it.")
    description: str
    fields: list[str] = Field(description="The columns of a file, in the order of its template.")
    required: list[str] = Field(description="The fields that a record cannot be without.")
    key: str = Field(description="The field that identifies a record.")
    unique: list[str] = Field(description="Further fields of which no two rows of a file may have the same value.")


class FailureGroup(BaseModel):
    """Rows that failed for the same reason."""

    model_config = _model()

    code: str
    count: int = Field(ge=1, description="How many rows there are.")
    message: str = Field(description="Of the first of them.")
    rows: list[int] = Field(min_length=1, max_length=10, description="The numbers of the first of them.")
    column: str | Absent = Field(default=None, description="The column that is wrong; absent: the row as a whole is.")
    value: str | Absent = Field(default=None, description="What stands in it, shortened to 100 characters.")
    other_values: Literal[True] | Absent = Field(
        default=None, description="These are rows of various values, behind the first 1,000 that are told apart."
    )


class Failures(BaseModel):
    """The failures of an action by what is wrong."""

    model_config = _model(
        {
            "actionId": _ID,
            "status": "COMPLETED",
            "failureCount": 3,
            "examinedCount": 3,
            "groupCount": 2,
            "groups": [
                {
                    "code": "INVALID_COUNTRY",
                    "count": 2,
                    "message": 'country is not a country code of two letters, such as DE: "Germany"',
                    "rows": [3, 7],
                    "column": "country",
                    "value": "Germany",
                },
                {
                    "code": "WRONG_FIELD_COUNT",
                    "count": 1,
                    "message": "The row has 3 fields, the header has 4.",
                    "rows": [4],
                },
            ],
        }
    )

    action_id: ActionId
    status: Status
    failure_count: Count = Field(description="Rows that have failed so far.")
    examined_count: Count = Field(description="Of these, those that were looked at: the first ones.")
    group_count: Count = Field(description="Groups that these make.")
    groups: list[FailureGroup] = Field(description="The largest groups.")


class AuditTag(BaseModel):
    """Which row was the last to write a record, and which action made it."""

    model_config = _model(
        {
            "createdBy": _ID,
            "actionId": _ID,
            "row": 1,
            "status": "SUCCESS",
            "startedAt": "2026-11-23T23:55:49.367Z",
            "at": "2026-11-23T23:55:49.512Z",
        }
    )

    created_by: str | None = Field(description="The action that created the record; null: another program did.")
    action_id: str | None = Field(description="The last action that wrote it; null: none has.")
    row: int | None = Field(description="The row of that action's file.")
    status: str | None
    started_at: datetime | None = Field(description="When that action started.")
    at: datetime | None = Field(description="When its chunk was written.")
    fields: list[str] | Absent = Field(default=None, description="The fields that were written; absent: all.")


class RecordChange(_Numbered):
    """What a row has done to a record."""

    model_config = _model()

    action_id: ActionId
    action_type: str
    action_status: Status
    file_name: str | None
    row: int = Field(ge=1, description="Its number in the file of the action.")
    code: Literal["CREATED", "UPDATED", "DELETED"]
    started_at: datetime = Field(description="When the action started.")
    at: datetime = Field(description="When the chunk of the row was finished.")
    by: str | None = Field(description="Whose credential made the action.")
    reason: str | None = Field(description="Why the action has its status, where that does not go without saying.")
    retry_of: ActionId | Absent = Field(default=None, description="The action that this one retries.")
    original_row: int | Absent = Field(default=None, description="The number of the row in that action's file.")


class Searched(BaseModel):
    """What was looked at for a page of a history."""

    model_config = _model()

    actions: Count = Field(description="Actions.")
    chunks: Count = Field(description="Chunks of these.")
    since: datetime | None = Field(description="When the earliest of these actions started; null: there was none.")
    complete: bool = Field(description="Whether that was all there is; else the `Link` header leads on.")


class RecordHistory(BaseModel):
    """A record, and which rows have created, changed and deleted it."""

    model_config = _model(
        {
            "entityType": "Contact",
            "id": "1",
            "record": {"id": "1", "name": "Ada Lovelace", "email": "ada@example.com", "status": "active"},
            "audit": {
                "createdBy": _ID,
                "actionId": _ID,
                "row": 1,
                "status": "SUCCESS",
                "startedAt": "2026-11-23T23:55:49.367Z",
                "at": "2026-11-23T23:55:49.512Z",
            },
            "history": [
                {
                    "actionId": _ID,
                    "actionType": "BULK_UPDATE",
                    "actionStatus": "COMPLETED",
                    "fileName": "contacts.csv",
                    "row": 1,
                    "code": "CREATED",
                    "startedAt": "2026-11-23T23:55:49.367Z",
                    "at": "2026-11-23T23:55:49.548Z",
                    "by": "key 1f0c8a2e",
                    "reason": None,
                }
            ],
            "searched": {"actions": 1, "chunks": 1, "since": "2026-11-23T23:55:49.367Z", "complete": True},
            "unreadable": [],
        }
    )

    entity_type: str
    id: str
    record: dict[str, Any] | None = Field(description="Its fields; null: there is no such record (any more).")
    audit: AuditTag | None = Field(description="Its audit tag; null: there is no record.")
    history: list[RecordChange] = Field(description="The action that was last to start comes first.")
    searched: Searched
    unreadable: list[ActionId] = Field(
        description="Actions that may have changed the record; their files cannot be read any more, which would tell."
    )


class FoundEvent(BaseModel):
    """Something that happened (docs/reference/events.md); what does not apply is absent."""

    model_config = _model()

    id: str = Field(description="Names the event: the same event has the same.")
    schema_version: Literal[1]
    at: datetime
    account_id: str
    type: EventType
    level: Level
    message: str
    action_id: ActionId | Absent = None
    entity_type: str | Absent = None
    action_type: str | Absent = None
    status: Status | RowStatus | Absent = None
    code: str | Absent = None
    chunk: Count | Absent = None
    first_row: int | Absent = None
    last_row: int | Absent = None
    row: int | Absent = None
    column: str | Absent = None
    record_id: str | Absent = None
    email: str | Absent = None
    actor: str | Absent = None
    source: str | Absent = None
    counts: dict[str, int] | Absent = None
    count: Count | Absent = None
    highlights: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="Where words of the query stand in the message: first character, and the one behind the last."
    )


class EventCounts(BaseModel):
    """How many of the events have which value."""

    model_config = _model()

    code: dict[str, int]
    status: dict[str, int]
    entity: dict[str, int]
    day: dict[str, int] = Field(description="By the day in UTC.")


class SearchedEvents(Searched):
    """What was looked at for a page of the ledger."""

    chunks: Count = Field(description="Finished chunks of these.")
    since: datetime | None = Field(description="When the earliest of these actions was made; null: there was none.")


_FOUND: dict[str, Any] = {
    "engine": "ledger",
    "events": [
        {
            "id": f"{_ID}:r3",
            "schemaVersion": 1,
            "at": "2026-11-23T23:55:49.548Z",
            "accountId": "default",
            "type": "row.failed",
            "level": "error",
            "message": 'email is not an email address: "nobody"',
            "actionId": _ID,
            "entityType": "Contact",
            "actionType": "BULK_UPDATE",
            "status": "FAILED",
            "code": "INVALID_EMAIL",
            "chunk": 0,
            "row": 3,
            "column": "email",
            "recordId": "3",
            "email": "nobody",
            "highlights": [[32, 38]],
        }
    ],
    "counts": {
        "code": {"INVALID_EMAIL": 1},
        "status": {"FAILED": 1},
        "entity": {"Contact": 1},
        "day": {"2026-11-23": 1},
    },
    "searched": {"actions": 1, "chunks": 1, "since": "2026-11-23T23:55:49.253Z", "complete": True},
}


class ActionLogs(BaseModel):
    """What was found of the events of an action."""

    model_config = _model(_FOUND)

    engine: Literal["ledger", "elasticsearch"] = Field(description="Where it was found.")
    events: list[FoundEvent] = Field(description="The newest first; of the ledger, the newest action first.")
    counts: EventCounts = Field(description="Of everything that is found; of the ledger, of this page.")
    searched: SearchedEvents | None = Field(description="How far the ledger was searched; null: the index has all.")


class FoundChange(RecordChange):
    """What a row has done to a record of the id that was asked for."""

    entity_type: str


class SearchResults(ActionLogs):
    """What was found of the events of an account."""

    changes: list[FoundChange] | Absent = Field(
        default=None, description="What rows have done to the records of `recordId`, the last first; at most `limit`."
    )
    changes_complete: bool | Absent = Field(
        default=None, description="Whether these are all; else `GET /records/{entityType}/{id}` leads on."
    )


class Origin(BaseModel):
    """Where a message was read."""

    topic: str
    partition: int
    offset: int


class DeadLetter(BaseModel):
    """A message that could not be carried out, or not be read."""

    model_config = _model(
        {
            "id": f"{_ID}:0",
            "kind": "CHUNK",
            "status": "DEAD",
            "actionId": _ID,
            "index": 0,
            "firstRow": 1,
            "rowCount": 2000,
            "error": "The database could not be used.",
            "retryCount": 3,
            "firstFailure": "2026-11-23T23:55:49.253+00:00",
            "origin": {"topic": "bulk-action", "partition": 0, "offset": 17},
            "at": "2026-11-23T23:57:34.001Z",
            "replayedAt": None,
            "replayedBy": None,
            "payload": "{}",
            "payloadEncoding": "utf-8",
        }
    )

    id: str
    kind: Literal["CHUNK", "ROWS", "MESSAGE", "POISON", "EVENTS"]
    status: Literal["DEAD", "REPLAYED", "DONE"]
    action_id: str | None
    index: int | None
    first_row: int | None
    row_count: int | None
    error: str
    retry_count: Count
    first_failure: str
    origin: Origin
    at: datetime
    replayed_at: datetime | None
    replayed_by: str | None = Field(description="Whose credential asked for the replay.")
    payload: str
    payload_encoding: Literal["utf-8", "base64"]


class Replayed(BaseModel):
    """A dead letter that was sent again."""

    model_config = _model({"id": f"{_ID}:0", "status": "REPLAYED"})

    id: str
    status: Literal["REPLAYED"]


_KEY_ID = "3f1d3ba2ff4e9d3e"
_API_KEY: dict[str, Any] = {
    "keyId": _KEY_ID,
    "name": "nightly",
    "role": "operator",
    "state": "active",
    "createdAt": "2026-11-24T04:20:00.000Z",
    "createdBy": "key 9c1e5d20ab34f876",
    "expiresAt": "2027-02-22T04:20:00.000Z",
    "revokedAt": None,
    "revokedBy": None,
}


class ListedApiKey(BaseModel):
    """An API key, without the key itself, which nobody knows but its holder."""

    model_config = _model(_API_KEY)

    key_id: str = Field(pattern=r"^[0-9a-f]{16}$", description="Names the key, and opens nothing.")
    name: str = Field(max_length=MAX_NAME)
    role: Role
    state: KeyState = Field(description="Only a key that is `active` opens anything.")
    created_at: datetime
    created_by: str | None = Field(description="Who made it; null: an older version has not noted it.")
    expires_at: datetime | None = Field(description="From when on it opens nothing; null: it does not expire.")
    revoked_at: datetime | None
    revoked_by: str | None = Field(description="Who revoked it; null: nobody, or an older version has not noted it.")


class MadeApiKey(ListedApiKey):
    """An API key that was just made."""

    model_config = _model({**_API_KEY, "key": "bulk_EXAMPLEk1Zb0f2m9sVgqvU7dKXo4yT5cWn8hA3q27wE"})

    key: str = Field(pattern=r"^bulk_[A-Za-z0-9_-]{43}$", description="The key itself; it is not told again.")


class Limits(BaseModel):
    """What this server takes, of everybody or of this account."""

    model_config = _model()

    max_upload_bytes: Count = Field(description="Largest file, as it is sent and unpacked.")
    max_rows: Count = Field(description="Most rows of a file.")
    max_columns: Count = Field(description="Most columns of its header.")
    max_field_bytes: Count = Field(description="Largest field.")
    max_record_bytes: Count = Field(description="Largest row.")
    schedule_max_days: Count = Field(description="Days that `scheduledAt` may be ahead.")
    retention_days: float | None = Field(description="Days for which an ended action is kept; null: for ever.")
    max_active_actions: Count | None = Field(description="Actions that have not ended; null: any number.")
    max_active_rows: Count | None = Field(description="Rows of these together; null: any number.")
    max_stored_bytes: Count | None = Field(description="Size of all files together; null: any.")
    max_api_keys: Count = Field(description="Active API keys.")
    uploads_per_window: Count | None = Field(description="Uploads in a window; null: any number.")
    requests_per_window: Count | None = Field(description="Other requests in a window; null: any number.")
    window_seconds: Count = Field(description="The window of these, which slides.")


class WhoAmI(BaseModel):
    """On whose behalf a request is made, and what it may ask for."""

    model_config = _model(
        {
            "accountId": "acme",
            "role": "operator",
            "credential": f"key {_KEY_ID}",
            "keyId": _KEY_ID,
            "authMode": "required",
            "version": "0.3.0",
            "limits": {
                "maxUploadBytes": 5368709120,
                "maxRows": 20000000,
                "maxColumns": 500,
                "maxFieldBytes": 131072,
                "maxRecordBytes": 1048576,
                "scheduleMaxDays": 366,
                "retentionDays": None,
                "maxActiveActions": None,
                "maxActiveRows": None,
                "maxStoredBytes": None,
                "maxApiKeys": 100,
                "uploadsPerWindow": 5,
                "requestsPerWindow": 600,
                "windowSeconds": 60,
            },
        }
    )

    account_id: str = Field(description="Whose actions and records are seen and changed.")
    role: Role = Field(description="What may be done.")
    credential: str | None = Field(description="Which credential it is, as in the logs; null: none is asked for.")
    key_id: str | None = Field(description="The `keyId` of an API key; null: it is a token, or no credential.")
    auth_mode: Literal["none", "required"] = Field(description="Whether a credential is asked for.")
    version: str = Field(description="The version of this server.")
    limits: Limits


class Health(BaseModel):
    """Whether the worker lives; one that is stuck is to be started again."""

    model_config = _model({"status": "UP"})

    status: Literal["UP", "DOWN"]


class Checks(BaseModel):
    """The state of each dependency, and of the worker itself."""

    mongodb: Literal["UP", "DOWN"]
    redis: Literal["UP", "DOWN"]
    storage: Literal["UP", "DOWN"]
    kafka: Literal["UP", "DOWN"]
    worker: Literal["UP", "STARTING"]


class DependencyState(BaseModel):
    """What is known of one thing that the worker depends on."""

    model_config = _model()

    name: Literal["mongodb", "redis", "storage", "kafka", "elasticsearch"]
    required: bool = Field(description="Whether the worker is not ready without it.")
    ok: bool = Field(description="Whether it could be used when it was last asked.")
    since: datetime = Field(description="Since when that has been so, as far as this worker knows.")
    latency_ms: float = Field(ge=0, description="Milliseconds that it took to answer or to fail, when last asked.")
    last_error: str | None = Field(description="What was last wrong with it; it stays when it can be used again.")
    last_error_at: datetime | None = Field(description="When that was.")


_REDIS_AWAY = {
    "name": "redis",
    "required": True,
    "ok": False,
    "since": "2026-11-25T10:00:00.000Z",
    "latencyMs": 1.7,
    "lastError": "Redis could not be used: ConnectionError.",
    "lastErrorAt": "2026-11-25T10:00:07.000Z",
}


class Readiness(BaseModel):
    """Whether the worker and everything it needs can work."""

    model_config = _model(
        {
            "status": "DOWN",
            "checks": {"mongodb": "UP", "redis": "DOWN", "storage": "UP", "kafka": "UP", "worker": "UP"},
            "dependencies": [_REDIS_AWAY],
        }
    )

    status: Literal["UP", "DOWN"]
    checks: Checks | Absent = Field(default=None, description="Absent in the answer of a gateway.")
    dependencies: list[DependencyState] | Absent = Field(
        default=None, description="The same with details. Absent in the answer of a gateway."
    )


class Worker(BaseModel):
    """A worker, as it last told of itself."""

    model_config = _model()

    worker_id: str = Field(description="The process: a worker that is started again has another id.")
    # A field cannot be called so.
    own: bool = Field(alias="self", description="Whether it is the one that answers.")
    state: WorkerState = Field(
        description="`READY`, or why its `/ready` is DOWN: `NOT_READY` (something that it depends on is away), "
        "`STARTING` (tables are recovered, or partitions change hands), `STOPPING`; `STUCK`: its `/health` is DOWN; "
        "`LOST`: it has announced itself no more, and did not say that it stops."
    )
    host: str
    pid: int
    port: int = Field(description="Where it serves the API.")
    version: str
    started_at: datetime
    seen_at: datetime = Field(description="When it last announced itself, by the same clock as `at`.")
    leader: bool = Field(description="Whether it runs what runs once: schedules, the watchdog, the clean-up.")
    partitions: dict[str, Count] = Field(
        description="How many partitions of each topic it has; empty while they change hands."
    )
    chunks_in_hand: Count = Field(description="Chunks that it is running.")
    rows_per_second: float = Field(
        ge=0, description="Rows that it has run lately; a chunk that is run again counts again."
    )
    memory_bytes: int | None = Field(description="Its resident size; null where the system does not tell.")
    open_uploads: Count = Field(description="Uploads that it is taking.")
    open_streams: Count = Field(description="Streams of events that it is sending.")
    open_downloads: Count = Field(description="Results that it is sending.")
    dependencies: list[DependencyState] = Field(description="As in its `/ready`; empty before it was first asked.")


class WorkerList(BaseModel):
    """All workers that are known."""

    model_config = _model(
        {
            "workers": [
                {
                    "workerId": "5f0c1d7be2a94b36",
                    "self": True,
                    "state": "NOT_READY",
                    "host": "worker-1",
                    "pid": 17,
                    "port": 3000,
                    "version": "0.3.0",
                    "startedAt": "2026-11-25T09:00:00.000Z",
                    "seenAt": "2026-11-25T10:00:08.000Z",
                    "leader": True,
                    "partitions": {"bulk-action": 8, "bulk-action.feed": 8, "bulk-action.results": 8},
                    "chunksInHand": 4,
                    "rowsPerSecond": 8123.4,
                    "memoryBytes": 191889408,
                    "openUploads": 1,
                    "openStreams": 2,
                    "openDownloads": 0,
                    "dependencies": [_REDIS_AWAY],
                }
            ],
            "at": "2026-11-25T10:00:08.000Z",
            "complete": False,
        }
    )

    workers: list[Worker] = Field(description="The oldest first.")
    at: datetime
    complete: bool = Field(
        description="Whether the others are known. If not, Redis is away, or was a moment ago: some may be missing, "
        "and some that are shown as `LOST` may live."
    )
