"""A bulk action: what it is, its statuses, and which changes of status are allowed."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from app.domain.cells import EmptyCells
from app.domain.csv.delimiters import DelimiterSource
from app.domain.csv.encodings import Encoding
from app.domain.csv.header import Columns
from app.domain.failure_limits import CommonFailure, FailureLimit
from app.domain.outcomes import Counts
from app.domain.stalls import Reissue
from app.domain.streams import EXPECTED_ROWS, Stream


class Status(StrEnum):
    """Where an action is in its life."""

    OPEN = "OPEN"
    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


#: Each status with those that may follow it.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    # Its rows come over Kafka, and run as they come.
    Status.OPEN: frozenset({Status.PROCESSING, Status.PAUSED, Status.FAILED, Status.CANCELLED}),
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.PROCESSING, Status.PAUSED, Status.FAILED, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.PAUSED: frozenset({Status.OPEN, Status.PROCESSING, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

#: Statuses that nothing follows.
ENDED = frozenset(status for status, after in TRANSITIONS.items() if not after)

_ACTION_ID = re.compile(r"[0-9a-f]{24}")

#: Who has changed a status when nobody has asked for it.
PLATFORM = "platform"

#: Transitions that an action remembers, the latest: it can be paused and resumed for ever.
MAX_HISTORY = 50


def sources_of(target: Status) -> list[Status]:
    """Return the statuses from which an action may become ``target``."""
    return [status for status, after in TRANSITIONS.items() if target in after]


def is_action_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an action id: 24 lower-case hexadecimal digits."""
    return _ACTION_ID.fullmatch(text) is not None


def initial_status(scheduled_at: datetime | None, now: datetime) -> Status:
    """Return the status in which an action is made: what was to be done in the past is to be done now."""
    return Status.QUEUED if scheduled_at is None or scheduled_at <= now else Status.SCHEDULED


class TransitionRefused(Exception):
    """The present status of an action does not allow what was asked for."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"The action is {status}.")
        self.status = status


def new_action_id() -> str:
    """Return an id that nobody else has; ids of later seconds are greater."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def new_chunk_key() -> str:
    """Return a key that nobody can guess, for the messages of one action's chunks."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """The file whose rows an action applies, as it lies in the storage.

    Attributes:
        name: What the client calls it; None where it did not say.
        size: Bytes, as it lies there: unpacked, UTF-8.
        sha256: The digest of these, hexadecimal.
        storage_key: Where it is.
        spans_key: Where the index of its chunks is.
        columns: Its header.
        ignored_columns: The columns that are for no field of the entity; None: not known.
        delimiter: What separates the fields of a row.
        delimiter_source: How that is known; None: an older version has not said.
        encoding: What it was written in when it was sent; None: an older version took nothing but UTF-8.
        empty_cells: What an empty cell means; None: its rows say everything.
    """

    name: str | None = None
    size: int = 0
    sha256: str | None = None
    storage_key: str = ""
    spans_key: str = ""
    columns: Columns = field(default_factory=lambda: Columns(()))
    ignored_columns: tuple[str, ...] | None = None
    delimiter: str = ","
    delimiter_source: DelimiterSource | None = None
    encoding: Encoding | None = None
    empty_cells: EmptyCells | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the fields of the action's document that describe the file."""
        fields, ignored = self.columns.fields, self.ignored_columns
        return {
            "columns": list(self.columns.names),
            "fields": None if fields is None else list(fields),
            "ignoredColumns": None if ignored is None else list(ignored),
            "delimiter": self.delimiter,
            "delimiterSource": self.delimiter_source,
            "encoding": None if self.encoding is None else self.encoding.to_document(),
            "emptyCells": self.empty_cells,
            "fileName": self.name,
            "fileSize": self.size,
            "sha256": self.sha256,
            "storageKey": self.storage_key,
            "spansKey": self.spans_key,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read them; a list leaves the columns out."""
        fields, ignored = document.get("fields"), document.get("ignoredColumns")
        source, encoding = document.get("delimiterSource"), document.get("encoding")
        empty = document.get("emptyCells")
        return cls(
            name=document.get("fileName"),
            size=document.get("fileSize", 0),
            sha256=document.get("sha256"),
            storage_key=document.get("storageKey", ""),
            spans_key=document.get("spansKey", ""),
            columns=Columns(tuple(document.get("columns", ())), None if fields is None else tuple(fields)),
            ignored_columns=None if ignored is None else tuple(ignored),
            delimiter=document.get("delimiter", ","),
            delimiter_source=None if source is None else DelimiterSource(source),
            encoding=None if encoding is None else Encoding.from_document(encoding),
            empty_cells=None if empty is None else EmptyCells(empty),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change of an action's status, or of when it is to begin.

    Attributes:
        status: The status from then on.
        at: When.
        by: Who has asked for it: a principal, or PLATFORM.
        reason: Why; None: it goes without saying.
    """

    status: Status
    at: datetime
    by: str = PLATFORM
    reason: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return what the action stores."""
        document = {"status": self.status, "at": self.at, "by": self.by}
        return document if self.reason is None else {**document, "reason": self.reason}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what the action stores."""
        return cls(
            status=Status(document["status"]), at=document["at"], by=document["by"], reason=document.get("reason")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A bulk action, as its document has it. Only the store changes an action, by atomic steps on the document.

    Attributes:
        id: 24 lower-case hexadecimal digits.
        account_id: Whose it is.
        action_type: What is done with the rows.
        entity_type: The kind of record that they are.
        status: Where it is in its life.
        created_at: When it was made.
        updated_at: When anything of it was last changed.
        scheduled_at: When it is to be queued; None: at once.
        started_at: When its first chunk was sent.
        progress_at: When it last had new results, or ended; None: never yet.
        completed_at: When it ended.
        total_count: Rows; of one that takes chunks, about how many have come.
        chunk_count: Chunks of these rows; of one that takes chunks, the numbers that may be taken.
        counts: What became of the rows so far.
        file: Where the rows are.
        stream: What is known of its chunks where they come over Kafka; None: it has a file.
        error: Why it could not be run.
        idempotency_key: The client's name for the request that made it, as it is stored.
        request_digest: What that request asked for.
        history: Its transitions, the latest MAX_HISTORY of them.
        created_by: The principal that made it; None: not known.
        cancelled_by: The principal that cancelled it.
        retry_of: The action whose failed rows it has; None: it is no retry.
        retried_by: The action that has its failed rows.
        chunk_key: What the messages of its chunks are sealed with; None: an older version has not done so.
        traceparent: The span in whose trace it was made (W3C Trace Context); None: it was not traced.
        announcement: The announcement that started it.
        dispatch_attempts: How often it was announced, or was to be.
        dispatch_at: When it is announced again if nobody has started it by then.
        last_dispatch_error: Why it could not be announced, the last time that it could not.
        max_failures: How many of its rows may fail before it is paused; None: any.
        failure_limit_reached: Whether it was paused for that; it is so once.
        common_failures: What was wrong most often then.
        stalls: How often in a row it has stalled.
        stalled_at: How many chunks were counted at the last stall.
        reissues: Its chunks that were sent again.
        cleanup_at: When its clean-up is due; None: nothing is left to be cleaned up.
        recounted: Whether its counters were recounted after its end.
        retained_until: When it is deleted by itself, which is decided at its end; None: never.
        deleting_at: Since when it is being deleted; None: it is not.
    """

    id: str
    account_id: str
    action_type: str
    entity_type: str
    status: Status
    created_at: datetime
    updated_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    progress_at: datetime | None = None
    completed_at: datetime | None = None
    total_count: int = 0
    chunk_count: int = 0
    counts: Counts = field(default_factory=Counts)
    file: StoredFile = field(default_factory=StoredFile)
    stream: Stream | None = None
    error: str | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    history: tuple[Transition, ...] = ()
    created_by: str | None = None
    cancelled_by: str | None = None
    retry_of: str | None = None
    retried_by: str | None = None
    chunk_key: str | None = None
    traceparent: str | None = None
    announcement: str | None = None
    dispatch_attempts: int = 0
    dispatch_at: datetime | None = None
    last_dispatch_error: str | None = None
    max_failures: FailureLimit | None = None
    failure_limit_reached: bool = False
    common_failures: tuple[CommonFailure, ...] = ()
    stalls: int = 0
    stalled_at: int | None = None
    reissues: tuple[Reissue, ...] = ()
    cleanup_at: datetime | None = None
    recounted: bool = False
    retained_until: datetime | None = None
    deleting_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing follows its status."""
        return self.status in ENDED

    @property
    def aborted(self) -> bool:
        """Whether it has ended without being completed: its rows are not run any more."""
        return self.ended and self.status != Status.COMPLETED

    @property
    def settling(self) -> bool:
        """Whether it was given up with chunks in hand that may still be finished and counted."""
        return self.aborted and self.cleanup_at is not None and not self.recounted

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted: nobody is shown anything of it any more."""
        return self.deleting_at is not None

    @property
    def last_change(self) -> datetime:
        """When anything was last done for it: a replay of a dead letter does so after its end."""
        return max(filter(None, (self.created_at, self.completed_at, self.updated_at)))

    @property
    def takes_chunks(self) -> bool:
        """Whether further chunks may come over Kafka, so that nobody knows how many rows it has."""
        return self.stream is not None and not self.stream.sealed

    @property
    def expected_rows(self) -> int:
        """How many rows it has, or probably has."""
        return self.total_count if self.stream is None else EXPECTED_ROWS

    @property
    def due_at(self) -> datetime:
        """When it should have begun, or should begin."""
        queued = next((change for change in reversed(self.history) if change.status == Status.QUEUED), None)
        if queued is not None and (queued.by != PLATFORM or self.scheduled_at is None):
            # Somebody has asked for it then, whatever it was scheduled for.
            return queued.at
        return self.scheduled_at or self.created_at

    @property
    def waiting_since(self) -> datetime:
        """Since when it has made no progress: no results under way, or no beginning before that."""
        if self.started_at is None:
            return self.due_at
        moved = self.history[-1].at if self.history else None
        return max(filter(None, (self.started_at, self.progress_at, moved)))

    @property
    def unprocessed_count(self) -> int:
        """How many rows never ran, and never will: the action has ended before their turn."""
        return self.total_count - self.counts.processed if self.ended else 0

    @property
    def failure_limit(self) -> FailureLimit | None:
        """How many of its rows may fail from now on; None: any."""
        return None if self.failure_limit_reached else self.max_failures

    def may_become(self, target: Status) -> bool:
        """Tell whether its status may change to ``target``."""
        return target in TRANSITIONS[self.status]

    def to_document(self) -> dict[str, Any]:
        """Return the document of the action; what is not known of it is not there."""
        document = {
            "_id": self.id,
            "accountId": self.account_id,
            "actionType": self.action_type,
            "entityType": self.entity_type,
            "status": self.status,
            "totalCount": self.total_count,
            "chunkCount": self.chunk_count,
            **self.counts.to_document(),
            **self.file.to_document(),
            "scheduledAt": self.scheduled_at,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        }
        # Some of these have a sparse index, which must not have a document for which they say nothing.
        sparse = {
            "stream": None if self.stream is None else self.stream.to_document(),
            "startedAt": self.started_at,
            "progressAt": self.progress_at,
            "completedAt": self.completed_at,
            "error": self.error,
            "idempotencyKey": self.idempotency_key,
            "requestDigest": self.request_digest,
            "history": [transition.to_document() for transition in self.history] or None,
            "createdBy": self.created_by,
            "cancelledBy": self.cancelled_by,
            "retryOf": self.retry_of,
            "retriedBy": self.retried_by,
            "chunkKey": self.chunk_key,
            "traceparent": self.traceparent,
            "announcement": self.announcement,
            "dispatchAttempts": self.dispatch_attempts or None,
            "dispatchAt": self.dispatch_at,
            "lastDispatchError": self.last_dispatch_error,
            "maxFailures": None if self.max_failures is None else self.max_failures.text,
            "failureLimitReached": self.failure_limit_reached or None,
            "commonFailures": [failure.to_document() for failure in self.common_failures] or None,
            "stalls": self.stalls or None,
            "stalledAt": self.stalled_at,
            "reissues": [reissue.to_document() for reissue in self.reissues] or None,
            "cleanupAt": self.cleanup_at,
            "recounted": self.recounted or None,
            "retainedUntil": self.retained_until,
            "deletingAt": self.deleting_at,
        }
        return document | {name: value for name, value in sparse.items() if value is not None}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read the document of an action, also of one that version 0.1 has made."""
        get = document.get
        return cls(
            id=document["_id"],
            account_id=document["accountId"],
            action_type=document["actionType"],
            entity_type=document["entityType"],
            status=Status(document["status"]),
            created_at=document["createdAt"],
            updated_at=get("updatedAt"),
            scheduled_at=get("scheduledAt"),
            started_at=get("startedAt"),
            progress_at=get("progressAt"),
            completed_at=get("completedAt"),
            total_count=get("totalCount", 0),
            chunk_count=get("chunkCount", 0),
            counts=Counts.from_document(document),
            file=StoredFile.from_document(document),
            stream=Stream.from_document(document["stream"]) if get("stream") else None,
            error=get("error"),
            idempotency_key=get("idempotencyKey"),
            request_digest=get("requestDigest"),
            history=tuple(map(Transition.from_document, get("history", ()))),
            created_by=get("createdBy"),
            cancelled_by=get("cancelledBy"),
            retry_of=get("retryOf"),
            retried_by=get("retriedBy"),
            chunk_key=get("chunkKey"),
            traceparent=get("traceparent"),
            announcement=get("announcement"),
            dispatch_attempts=get("dispatchAttempts", 0),
            dispatch_at=get("dispatchAt"),
            last_dispatch_error=get("lastDispatchError"),
            max_failures=FailureLimit.parse(document["maxFailures"]) if get("maxFailures") else None,
            failure_limit_reached=get("failureLimitReached", False),
            common_failures=tuple(map(CommonFailure.from_document, get("commonFailures", ()))),
            stalls=get("stalls", 0),
            stalled_at=get("stalledAt"),
            reissues=tuple(map(Reissue.from_document, get("reissues", ()))),
            cleanup_at=get("cleanupAt"),
            recounted=get("recounted", False),
            retained_until=get("retainedUntil"),
            deleting_at=get("deletingAt"),
        )
