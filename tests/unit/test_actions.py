"""An action: its state machine, its id, and its document."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.domain.actions import (
    ENDED,
    TRANSITIONS,
    Action,
    Status,
    initial_status,
    is_action_id,
    new_action_id,
    sources_of,
)
from tests.support.clocks import PAST
from tests.support.factories import make_action

ACTION_ID = "0123456789abcdef01234567"


# Statuses


def test_statuses_are_as_documented() -> None:
    """The statuses are the documented ones."""
    assert set(Status) == {"OPEN", "SCHEDULED", "QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"}
    assert set(TRANSITIONS) == set(Status)


def test_nothing_follows_an_end() -> None:
    assert {"COMPLETED", "FAILED", "CANCELLED"} == ENDED
    assert all(not TRANSITIONS[status] for status in ENDED)
    assert all(TRANSITIONS[status] for status in set(Status) - ENDED)


def after(status: Status) -> set[Status]:
    """Every status that an action may come to from ``status``, in any number of steps."""
    found: set[Status] = set()
    waiting = [status]
    while waiting:
        for following in TRANSITIONS[waiting.pop()] - found:
            found.add(following)
            waiting.append(following)
    return found


def test_every_status_is_reachable() -> None:
    """Every status is reached from the two in which actions are made."""
    assert {Status.SCHEDULED} | after(Status.SCHEDULED) == set(Status)
    assert {Status.QUEUED} | after(Status.QUEUED) == set(Status) - {Status.SCHEDULED}


@pytest.mark.parametrize("status", sorted(set(Status) - ENDED))
def test_every_action_can_end(status: Status) -> None:
    """Every action can come to an end, and can be cancelled."""
    assert Status.COMPLETED in after(status)
    assert Status.CANCELLED in TRANSITIONS[status]


def test_statuses_never_go_back() -> None:
    """Nothing becomes scheduled or queued again, and every step leads somewhere."""
    assert sources_of(Status.SCHEDULED) == []
    assert sources_of(Status.QUEUED) == [Status.SCHEDULED]
    assert all(status not in following for status, following in TRANSITIONS.items())


@pytest.mark.parametrize("target", list(Status))
def test_sources_mirror_transitions(target: Status) -> None:
    """Sources are the transitions read backwards."""
    assert sources_of(target) == [status for status in Status if target in TRANSITIONS[status]]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (ACTION_ID, True),
        (ACTION_ID.upper(), False),
        (ACTION_ID[:-1], False),
        (ACTION_ID + "0", False),
        (ACTION_ID + "\n", False),
        (ACTION_ID[:-1] + "g", False),
        ("٠" * 24, False),
        ("", False),
    ],
)
def test_action_id_format(text: str, good: bool) -> None:
    """An action id is 24 lower-case hexadecimal digits."""
    assert is_action_id(text) is good


def test_new_ids_are_valid_and_differ() -> None:
    """New ids are valid action ids and differ from each other."""
    made = [new_action_id() for _ in range(1000)]
    assert all(map(is_action_id, made))
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("target", list(Status))
@pytest.mark.parametrize("status", list(Status))
def test_action_knows_its_next_statuses(status: Status, target: Status) -> None:
    """An action knows what it may become."""
    assert make_action(status=status).may_become(target) == (target in TRANSITIONS[status])


@pytest.mark.parametrize("status", list(Status))
def test_an_action_knows_its_end(status: Status) -> None:
    made = make_action(status=status)
    assert made.ended == (status in ENDED)
    assert made.aborted == (status in {Status.FAILED, Status.CANCELLED})


@pytest.mark.parametrize(("ahead", "status"), [(None, "QUEUED"), (-1, "QUEUED"), (0, "QUEUED"), (1, "SCHEDULED")])
def test_the_past_means_now(ahead: int | None, status: Status) -> None:
    """What was to be done in the past is done now."""
    scheduled_at = None if ahead is None else PAST + timedelta(milliseconds=ahead)
    assert initial_status(scheduled_at, PAST) == status


# Its document

#: As version 0.1 has stored one: without what came later, and with what it knew besides.
OLD: dict[str, Any] = {
    "_id": ACTION_ID,
    "accountId": "acme",
    "actionType": "BULK_UPDATE",
    "entityType": "Contact",
    "status": "COMPLETED",
    "totalCount": 3,
    "chunkCount": 1,
    "processedCount": 3,
    "successCount": 2,
    "failureCount": 1,
    "skippedCount": 0,
    "columns": ["id", "name"],
    "ignoredColumns": [],
    "delimiter": ";",
    "fileName": "a.csv",
    "fileSize": 10,
    "sha256": "ab",
    "storageKey": "k",
    "spansKey": "s",
    "scheduledAt": None,
    "createdAt": PAST,
    "updatedAt": PAST,
    "countsVersion": 2,
}


def test_old_documents_are_read() -> None:
    """What a later version has added has its usual value."""
    read = Action.from_document(OLD)
    assert (read.id, read.account_id, read.status, read.total_count) == (ACTION_ID, "acme", Status.COMPLETED, 3)
    assert (read.counts.success, read.counts.failure, read.counts.created) == (2, 1, 0)
    assert (read.file.columns.names, read.file.columns.fields, read.file.delimiter) == (("id", "name"), None, ";")
    assert (read.file.delimiter_source, read.file.encoding) == (None, None)
    assert (read.reissues, read.stalls, read.idempotency_key, read.cleanup_at) == ((), 0, None, None)
    assert (read.deleting, read.last_change) == (False, PAST)
    assert (read.history, read.created_by, read.dispatch_attempts, read.dispatch_at) == ((), None, 0, None)


def test_documents_come_back() -> None:
    """Every field of an action is stored and read again."""
    reissue = {"index": 1, "openings": 2, "times": 3, "at": PAST}
    full = OLD | dict.fromkeys(
        ("scheduledAt", "startedAt", "completedAt", "dispatchAt", "cleanupAt", "deletingAt", "retainedUntil"), PAST
    )
    full |= {"delimiterSource": "declared", "encoding": {"name": "utf-16le", "source": "mark", "confidence": 1.0}}
    texts = (
        "error",
        "idempotencyKey",
        "requestDigest",
        "announcement",
        "createdBy",
        "cancelledBy",
        "retryOf",
        "retriedBy",
    )
    full |= dict.fromkeys((*texts, "lastDispatchError"), "text")
    full |= {
        "history": [
            {"status": "QUEUED", "at": PAST, "by": "platform"},
            {"status": "CANCELLED", "at": PAST, "by": "key 1", "reason": "a mistake"},
        ],
        "dispatchAttempts": 1,
        "maxFailures": "5%",
        "failureLimitReached": True,
        "commonFailures": [{"code": "REQUIRED", "column": "name", "count": 7, "firstRow": 2}],
        "stalls": 2,
        "stalledAt": 0,
        "reissues": [reissue],
        "recounted": True,
        "fields": ["id", ""],
    }
    read = Action.from_document(full)
    assert read.deleting
    assert Action.from_document(read.to_document()) == read
    assert full.keys() - read.to_document().keys() == {"countsVersion"}


def test_sparse_fields_are_absent() -> None:
    """A new action has no key that a sparse index would take for a value."""
    document = make_action().to_document()
    assert not {"idempotencyKey", "cleanupAt", "progressAt", "startedAt", "error"} & document.keys()
    assert {"scheduledAt", "fields"} <= document.keys()
