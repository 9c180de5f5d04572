"""Dead letters: messages that could not be done or read, and what the rows of such a chunk become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from app.domain.outcomes import DEAD_LETTER, ChunkOutcome, Counts, RowOutcome

CODE = DEAD_LETTER
#: Most letters that belong to nobody, who could be told to stop.
MAX_OF_NOBODY = 1000


class Kind(StrEnum):
    """What a dead letter holds."""

    #: A chunk of an action. It has one letter, under its ledger id, however often it dies.
    CHUNK = "CHUNK"
    #: Rows that came over Kafka for an action, with its token, and were refused.
    ROWS = "ROWS"
    #: Any other message of ours.
    MESSAGE = "MESSAGE"
    #: Bytes that no agent could read.
    POISON = "POISON"
    #: Events that the index of events has refused for what is in them.
    EVENTS = "EVENTS"


class State(StrEnum):
    """Where a dead letter is: DEAD until somebody replays it, REPLAYED until that is DONE or has failed (DEAD)."""

    DEAD = "DEAD"
    REPLAYED = "REPLAYED"
    DONE = "DONE"


class Obstacle(StrEnum):
    """Why a letter cannot be replayed: the name is a code, the value a sentence."""

    NOT_REPLAYABLE = "This message cannot be sent again: it is no longer whole."
    ACTION_OVER = "The action of this chunk has failed or is gone, so that its rows cannot be run any more."
    NO_INDEX = "There is no index of events."
    ROWS_REFUSED = "These rows were refused: they are to be sent again by whoever has sent them."
    CHUNK_UNREADABLE = "The rows of this chunk cannot be read any more."


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def of(cls, event: Any) -> Self:
        """Return where an event was read."""
        message = event.message
        return cls(message.topic, message.partition, message.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be done or read, as its document has it.

    Attributes:
        id: The ledger id of a chunk; of anything else the place and time at which it was first read.
        kind: What it holds.
        status: Where it is.
        error: Why it could not be done, or its replay not.
        origin: Where it was first read, and is sent to by a replay.
        at: When it was stored.
        message: Which delivery it was stored for: another one of the same changes nothing.
        key: Kafka key, maybe cut.
        payload: The message, maybe cut.
        length: The length of the whole message, bytes.
        complete: Whether the payload is whole.
        retry_count: How often it was tried again.
        first_failure: When it first failed, ISO 8601.
        action_id: The action that it is about; None: of none, or not known.
        account_id: Whose action that is; None: nobody's.
        index: Of a chunk: which one of its action.
        first_row: Of a chunk: its first row.
        row_count: Of a chunk: its rows.
        replayed_at: When its replay was asked for.
        replayed_by: Who has asked for it.
        sends: How often its replay has sent it.
        review_at: When its replay is reviewed.
        obstacle: Why it cannot be replayed, where that was found out by trying.
    """

    id: str
    kind: Kind
    status: State = State.DEAD
    error: str
    origin: Origin
    at: datetime
    message: str | None = None
    key: bytes | None = None
    payload: bytes = b""
    length: int = 0
    complete: bool = True
    retry_count: int = 0
    first_failure: str = ""
    action_id: str | None = None
    account_id: str | None = None
    index: int | None = None
    first_row: int | None = None
    row_count: int | None = None
    replayed_at: datetime | None = None
    replayed_by: str | None = None
    sends: int = 0
    review_at: datetime | None = None
    obstacle: Obstacle | None = None

    @property
    def replayable(self) -> bool:
        """Whether a replay may begin, as far as the state goes."""
        return self.status == State.DEAD

    def to_document(self) -> dict[str, Any]:
        """Return the document of the letter; what is not known of it is not there."""
        document = {
            "_id": self.id,
            "kind": self.kind,
            "status": self.status,
            "error": self.error,
            "retryCount": self.retry_count,
            "firstFailure": self.first_failure,
            "origin": {"topic": self.origin.topic, "partition": self.origin.partition, "offset": self.origin.offset},
            "key": self.key,
            "payload": self.payload,
            "length": self.length,
            "complete": self.complete,
            "at": self.at,
        }
        # Some of these have a sparse index, which must not have a document for which they say nothing.
        sparse = {
            "message": self.message,
            "actionId": self.action_id,
            "accountId": self.account_id,
            "index": self.index,
            "firstRow": self.first_row,
            "rowCount": self.row_count,
            "replayedAt": self.replayed_at,
            "replayedBy": self.replayed_by,
            "sends": self.sends or None,
            "lookAt": self.review_at,
            "obstacle": None if self.obstacle is None else self.obstacle.name,
        }
        return document | {name: value for name, value in sparse.items() if value is not None}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read the document of a letter, also of one that version 0.1 has stored."""
        get = document.get
        obstacle, origin = get("obstacle"), document["origin"]
        return cls(
            id=document["_id"],
            kind=Kind(document["kind"]),
            status=State(document["status"]),
            error=get("error", ""),
            origin=Origin(origin["topic"], origin["partition"], origin["offset"]),
            at=document["at"],
            message=get("message"),
            key=get("key"),
            payload=document["payload"],
            length=get("length", len(document["payload"])),
            complete=get("complete", True),
            retry_count=get("retryCount", 0),
            first_failure=get("firstFailure", ""),
            action_id=get("actionId"),
            account_id=get("accountId"),
            index=get("index"),
            first_row=get("firstRow"),
            row_count=get("rowCount"),
            replayed_at=get("replayedAt"),
            replayed_by=get("replayedBy"),
            sends=get("sends", 0),
            review_at=get("lookAt"),
            obstacle=None if obstacle is None else Obstacle[obstacle],
        )


#: What the message of the rows of a dead chunk begins with; the error follows.
DEAD_ROW = "The row could not be processed and can be replayed: "


def dead_chunk_outcome(first_row: int, row_count: int, error: str) -> ChunkOutcome:
    """Return the outcome of a chunk that was given up: every row FAILED, with the reason."""
    message = f"{DEAD_ROW}{error}"[:200]
    exceptions = [RowOutcome(row, "FAILED", CODE, message) for row in range(first_row, first_row + row_count)]
    return ChunkOutcome(first_row, row_count, Counts(failure=row_count), exceptions, created=0)
