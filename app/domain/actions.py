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

from app.domain.entities import Columns
from app.domain.outcomes import Counts
from app.domain.stalls import Reissue


class Status(StrEnum):
    """Where an action is in its life."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


#: Each status with those that may follow it.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.PROCESSING, Status.FAILED, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.PAUSED: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

#: Statuses that nothing follows.
ENDED = frozenset(status for status, after in TRANSITIONS.items() if not after)

_ACTION_ID = re.compile(r"[0-9a-f]{24}")


def sources_of(target: Status) -> list[Status]:
    """Return the statuses from which an action may become ``target``."""
    return [status for status, after in TRANSITIONS.items() if target in after]


def is_action_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an action id: 24 lower-case hexadecimal digits."""
    return _ACTION_ID.fullmatch(text) is not None


def initial_status(scheduled_at: datetime | None) -> Status:
    """Return the status in which an action is made."""
    return Status.QUEUED if scheduled_at is None else Status.SCHEDULED


def new_action_id() -> str:
    """Return an id that nobody else has; ids of later seconds are greater."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """The file whose rows an action applies, as it lies in the storage.

    Attributes:
        name: What the client calls it; None where it did not say.
        size: Bytes.
        sha256: The digest of its bytes, hexadecimal.
        storage_key: Where it is.
        spans_key: Where the index of its chunks is.
        columns: Its header.
        ignored_columns: The columns that are for no field of the entity; None: not known.
        delimiter: What separates the fields of a row.
    """

    name: str | None = None
    size: int = 0
    sha256: str | None = None
    storage_key: str = ""
    spans_key: str = ""
    columns: Columns = field(default_factory=lambda: Columns(()))
    ignored_columns: tuple[str, ...] | None = None
    delimiter: str = ","

    def to_document(self) -> dict[str, Any]:
        """Return the fields of the action's document that describe the file."""
        fields, ignored = self.columns.fields, self.ignored_columns
        return {
            "columns": list(self.columns.names),
            "fields": None if fields is None else list(fields),
            "ignoredColumns": None if ignored is None else list(ignored),
            "delimiter": self.delimiter,
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
        return cls(
            name=document.get("fileName"),
            size=document.get("fileSize", 0),
            sha256=document.get("sha256"),
            storage_key=document.get("storageKey", ""),
            spans_key=document.get("spansKey", ""),
            columns=Columns(tuple(document.get("columns", ())), None if fields is None else tuple(fields)),
            ignored_columns=None if ignored is None else tuple(ignored),
            delimiter=document.get("delimiter", ","),
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
        completed_at: When it ended.
        total_count: Rows.
        chunk_count: Chunks of these rows.
        counts: What became of the rows so far.
        file: Where the rows are.
        error: Why it could not be run.
        idempotency_key: The client's name for the request that made it, as it is stored.
        request_digest: What that request asked for.
        announcement: The announcement that started it.
        announced: How often it was announced again while it was queued.
        announced_at: When last.
        stalls: How often in a row it has stalled.
        stalled_at: How many chunks were counted at the last stall.
        reissues: Its chunks that were sent again.
        cleanup_at: When its clean-up is due; None: nothing is left to be cleaned up.
        recounted: Whether its counters were recounted after its end.
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
    completed_at: datetime | None = None
    total_count: int = 0
    chunk_count: int = 0
    counts: Counts = field(default_factory=Counts)
    file: StoredFile = field(default_factory=StoredFile)
    error: str | None = None
    idempotency_key: str | None = None
    request_digest: str | None = None
    announcement: str | None = None
    announced: int = 0
    announced_at: datetime | None = None
    stalls: int = 0
    stalled_at: int | None = None
    reissues: tuple[Reissue, ...] = ()
    cleanup_at: datetime | None = None
    recounted: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing follows its status."""
        return self.status in ENDED

    @property
    def aborted(self) -> bool:
        """Whether it has ended without being completed: its rows are not run any more."""
        return self.ended and self.status != Status.COMPLETED

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
            "startedAt": self.started_at,
            "completedAt": self.completed_at,
            "error": self.error,
            "idempotencyKey": self.idempotency_key,
            "requestDigest": self.request_digest,
            "announcement": self.announcement,
            "announced": self.announced or None,
            "announcedAt": self.announced_at,
            "stalls": self.stalls or None,
            "stalledAt": self.stalled_at,
            "reissues": [reissue.to_document() for reissue in self.reissues] or None,
            "cleanupAt": self.cleanup_at,
            "recounted": self.recounted or None,
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
            completed_at=get("completedAt"),
            total_count=get("totalCount", 0),
            chunk_count=get("chunkCount", 0),
            counts=Counts.from_document(document),
            file=StoredFile.from_document(document),
            error=get("error"),
            idempotency_key=get("idempotencyKey"),
            request_digest=get("requestDigest"),
            announcement=get("announcement"),
            announced=get("announced", 0),
            announced_at=get("announcedAt"),
            stalls=get("stalls", 0),
            stalled_at=get("stalledAt"),
            reissues=tuple(map(Reissue.from_document, get("reissues", ()))),
            cleanup_at=get("cleanupAt"),
            recounted=get("recounted", False),
        )
