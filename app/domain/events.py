"""Events: what happened to actions, chunks and rows, and to an account. Schema version 1 (docs/reference/events.md).

Nothing is stored twice for them: the events of an action follow from its document and its ledger, and only what no
other document has is a document of its own. An event has the same id whenever and by whomever it is made, so that
storing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from app.domain.actions import Status
from app.domain.outcomes import Counts
from app.domain.printable import shortened

#: The version of the form of an event. Another one has other fields, or fields of another meaning.
SCHEMA_VERSION: Final = 1

#: Most characters of a text of an event: what a file has in a cell has no limit of its own.
MAX_MESSAGE, MAX_VALUE = 1_000, 256


class EventType(StrEnum):
    """What has happened."""

    ACTION_CREATED = "action.created"
    ACTION_OPEN = "action.open"
    ACTION_SCHEDULED = "action.scheduled"
    ACTION_QUEUED = "action.queued"
    ACTION_PROCESSING = "action.processing"
    ACTION_PAUSED = "action.paused"
    ACTION_COMPLETED = "action.completed"
    ACTION_FAILED = "action.failed"
    ACTION_CANCELLED = "action.cancelled"
    ACTION_RETRIED = "action.retried"
    CHUNK_COMPLETED = "chunk.completed"
    CHUNK_DEAD = "chunk.dead"
    CHUNK_REISSUED = "chunk.reissued"
    ROW_FAILED = "row.failed"
    ROW_SKIPPED = "row.skipped"
    DISPATCH_FAILED = "dispatch.failed"
    DEAD_LETTER_STORED = "dead_letter.stored"
    DEAD_LETTER_REPLAYED = "dead_letter.replayed"
    CREDENTIAL_REFUSED = "credential.refused"
    KEY_MADE = "key.made"
    KEY_REVOKED = "key.revoked"
    LIMIT_HIT = "limit.hit"


#: Events that only the admins of an account are shown.
SECURITY_TYPES: Final = frozenset({EventType.CREDENTIAL_REFUSED, EventType.KEY_MADE, EventType.KEY_REVOKED})


class Level(StrEnum):
    """How much an event needs a person's attention."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def transition_type(status: Status) -> EventType:
    """Return the type of the event that an action has this status from now on."""
    return EventType(f"action.{status.lower()}")


def action_event_id(action_id: str, what: str) -> str:
    """Return the id of an event of an action that is not about a chunk or a row."""
    return f"{action_id}:{what}"


def chunk_event_id(action_id: str, chunk: int) -> str:
    """Return the id of what became of a chunk: the same for one that was given up and for its replay."""
    return f"{action_id}:c{chunk}"


def row_event_id(action_id: str, row: int) -> str:
    """Return the id of what became of a row."""
    return f"{action_id}:r{row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        id: The same for the same event, whoever makes it; no other event has it.
        at: When it happened.
        account_id: Whose it is; None: nobody knows whose.
        type: What happened.
        level: How much it needs attention.
        message: A sentence for a person, at most ``MAX_MESSAGE`` characters.
        action_id: The action that it is about.
        entity_type: What the rows of the action are.
        action_type: What is done with them.
        status: Of an action: its status from then on. Of a row: FAILED or SKIPPED.
        code: Of a row, of a refusal or of a limit: the code of the reason.
        chunk: The index of the chunk.
        first_row: The first row of the chunk.
        last_row: The last row of the chunk.
        row: The number of the row.
        column: The column whose value is wrong.
        record_id: The id of the record that the row is about.
        email: The e-mail address of the row, lower case, where its entity has one.
        actor: Who did it: a principal, or the platform.
        source: The network address that a request came from.
        counts: What became of the rows of the chunk.
        count: How often it happened, where one event stands for several.
    """

    id: str
    at: datetime
    account_id: str | None
    type: EventType
    level: Level
    message: str
    action_id: str | None = None
    entity_type: str | None = None
    action_type: str | None = None
    status: str | None = None
    code: str | None = None
    chunk: int | None = None
    first_row: int | None = None
    last_row: int | None = None
    row: int | None = None
    column: str | None = None
    record_id: str | None = None
    email: str | None = None
    actor: str | None = None
    source: str | None = None
    counts: Counts | None = None
    count: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the event as it is indexed and stored, ``@timestamp`` a datetime; what is not known is not there."""
        document = {
            "id": self.id,
            "schemaVersion": SCHEMA_VERSION,
            "@timestamp": self.at,
            "accountId": self.account_id,
            "type": self.type.value,
            "level": self.level.value,
            "message": self.message,
            "actionId": self.action_id,
            "entityType": self.entity_type,
            "actionType": self.action_type,
            "status": self.status,
            "code": self.code,
            "chunk": self.chunk,
            "firstRow": self.first_row,
            "lastRow": self.last_row,
            "row": self.row,
            "column": self.column,
            "recordId": self.record_id,
            "email": self.email,
            "actor": self.actor,
            "source": self.source,
            "counts": None if self.counts is None else self.counts.to_document(),
            "count": self.count,
        }
        return {name: value for name, value in document.items() if value is not None}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read an event back; ``@timestamp`` may also be ISO 8601 with an offset, as JSON has it.

        Raises:
            KeyError, ValueError: it is none of this version.
        """
        get, at = document.get, document["@timestamp"]
        counts = get("counts")
        return cls(
            id=document["id"],
            at=datetime.fromisoformat(at) if isinstance(at, str) else at,
            account_id=get("accountId"),
            type=EventType(document["type"]),
            level=Level(document["level"]),
            message=document["message"],
            action_id=get("actionId"),
            entity_type=get("entityType"),
            action_type=get("actionType"),
            status=get("status"),
            code=get("code"),
            chunk=get("chunk"),
            first_row=get("firstRow"),
            last_row=get("lastRow"),
            row=get("row"),
            column=get("column"),
            record_id=get("recordId"),
            email=get("email"),
            actor=get("actor"),
            source=get("source"),
            counts=None if counts is None else Counts.from_document(counts),
            count=get("count"),
        )


def bounded(text: str | None, most: int = MAX_VALUE) -> str | None:
    """Return a text of a client as an event has it: not longer than ``most``, writable as UTF-8; None for no text."""
    return shortened(text, most).encode(errors="replace").decode() if text else None


def email_of(cell: str | None) -> str | None:
    """Return an e-mail address in the form in which events have it and searches compare it; None for no text."""
    return bounded((cell or "").strip().lower())
