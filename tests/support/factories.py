"""Documents and messages as the platform keeps and sends them; keyword arguments change or add fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.domain.actions import Action, Status, new_action_id
from app.domain.dead_letters import DeadLetter
from app.domain.dependencies import DependencyState
from app.domain.workers import WorkerReport, WorkerState
from tests.support.clocks import PAST
from tests.support.files import COLUMNS

#: An id in the form of those of actions; no action has it.
ACTION_ID = "0123456789abcdef01234567"


def action_document(**changes: Any) -> dict[str, Any]:
    """The document of an action that waits to begin; with an id of its own, if none is given."""
    return {
        "_id": new_action_id(),
        "accountId": "default",
        "actionType": "BULK_UPDATE",
        "entityType": "Contact",
        "status": Status.QUEUED,
        "createdAt": PAST,
        "updatedAt": PAST,
        **changes,
    }


def dead_letter_document(**changes: Any) -> dict[str, Any]:
    """The document of a chunk that was given up, without its id."""
    return {
        "kind": "CHUNK",
        "status": "DEAD",
        "accountId": "default",
        "actionId": "0" * 24,
        "error": "no",
        "retryCount": 1,
        "firstFailure": "2026-01-01T00:00:00.000+00:00",
        "origin": {"topic": "bulk", "partition": 3, "offset": 2**40},
        "key": b"key",
        "payload": b"{}",
        "at": PAST,
        **changes,
    }


def make_action(**fields: Any) -> Action:
    """An action of the fields of its document."""
    return Action.from_document(action_document(**fields))


def make_dead_letter(**fields: Any) -> DeadLetter:
    """A dead letter of the fields of its document."""
    return DeadLetter.from_document({"_id": "a:1", **dead_letter_document(**fields)})


def source_document(**changes: Any) -> dict[str, Any]:
    """The part of a chunk's message that says of which file it is, as an outside producer would write it."""
    return {
        "accountId": "default",
        "entityType": "Contact",
        "actionType": "BULK_UPDATE",
        "storageKey": "k",
        "columns": list(COLUMNS),
        "rowCount": 10,
        "chunkCount": 9,
        "startedAt": "2026-01-31T09:00:00Z",
        **changes,
    }


def chunk_document(**changes: Any) -> dict[str, Any]:
    """The message of a chunk, as an outside producer would write it."""
    return {
        "actionId": ACTION_ID,
        "index": 7,
        "span": {"start": 10, "end": 20, "firstRow": 3, "rows": 4},
        "source": source_document(),
        **changes,
    }


def make_report(*, dependency: str = "Redis", **fields: Any) -> WorkerReport:
    """What a worker tells of itself that depends on one thing."""
    report = WorkerReport(
        worker_id="0123456789abcdef",
        host="worker-1",
        pid=17,
        port=3000,
        version="0.3.0",
        started_at=PAST,
        interval=5.0,
        state=WorkerState.READY,
        leader=True,
        partitions={"bulk-action": 4},
        chunks_in_hand=1,
        rows_per_second=10.0,
        memory_bytes=100_000_000,
        open_uploads=0,
        open_streams=0,
        open_downloads=0,
        required=(DependencyState(dependency, True, PAST, 0.001),),
        optional=(),
    )
    return replace(report, **fields)
