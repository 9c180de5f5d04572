"""The life of an action as a client steers it: what is allowed, what is refused, and what is told of it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest

from stack.samples import Sample
from tests.support.assertions import contacts, error_of
from tests.support.files import HEADER
from tests.support.forms import REQUIRED
from tests.support.leftovers import leftovers
from tests.support.namespaces import storage_of
from tests.support.waiting import wait_for
from tests.support.workers import Worker

LATER = "2100-01-01T00:00:00+02:00"
UNKNOWN = "0" * 24


def row(key: str) -> bytes:
    return HEADER + f"{key},N,{key}@example.com,active\n".encode()


def patch(worker: Worker, action_id: str, body: Any, **headers: str) -> httpx.Response:
    return worker.client.patch(f"/bulk-actions/{action_id}", json=body, headers=headers)


def transitions(action: dict[str, Any]) -> list[tuple[str, str]]:
    """The history of an action in short: each status with who has asked for it."""
    return [(entry["status"], entry["by"]) for entry in action["history"]]


ME, PLATFORM = "nobody in particular", "platform"


# Schedules


def test_a_past_schedule_means_now(worker: Worker) -> None:
    """The answer says so, and which moment was understood."""
    answer = worker.upload(row("past1"), scheduledAt="2020-01-31T09:00+01:00").json()
    assert (answer["status"], answer["scheduledAt"]) == ("QUEUED", "2020-01-31T08:00:00.000Z")
    assert answer["message"] == "Success! Your bulk action has been queued for processing."
    ended = worker.wait_ended(answer["actionId"])
    assert transitions(ended) == [("QUEUED", ME), ("PROCESSING", PLATFORM), ("COMPLETED", PLATFORM)]
    assert (ended["createdBy"], ended["dispatchAttempts"], ended["lastDispatchError"]) == (ME, 1, None)


def test_a_schedule_can_be_moved(worker: Worker) -> None:
    """To another time, and to now."""
    action_id = worker.submit(row("moved1"), scheduledAt=LATER)
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    moved = patch(worker, action_id, {"scheduledAt": tomorrow.isoformat()})
    assert moved.status_code == 200, moved.text
    assert moved.json()["scheduledAt"] == tomorrow.isoformat().replace("+00:00", ".000Z")
    now = patch(worker, action_id, {"scheduledAt": None})
    assert (now.status_code, now.json()["status"], now.json()["scheduledAt"]) == (200, "QUEUED", None)
    ended = worker.wait_ended(action_id)
    assert transitions(ended)[:3] == [("SCHEDULED", ME), ("SCHEDULED", ME), ("QUEUED", ME)]
    assert (ended["status"], ended["successCount"]) == ("COMPLETED", 1)
    refused = patch(worker, action_id, {"scheduledAt": None})
    assert error_of(refused)[:2] == (409, "TRANSITION_NOT_ALLOWED")
    assert refused.json()["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scheduledAt": "tomorrow"}, "INVALID_SCHEDULE"),
        ({"scheduledAt": 7}, "INVALID_SCHEDULE"),
        ({"scheduledAt": "9999-12-31T00:00Z"}, "SCHEDULE_TOO_FAR"),
        ({"scheduled_at": None}, "UNKNOWN_FIELD"),
        ({"scheduledAt": None, "status": "QUEUED"}, "UNKNOWN_FIELD"),
        ({}, "NOTHING_TO_CHANGE"),
        ([], "INVALID_BODY"),
        ("now", "INVALID_BODY"),
    ],
)
def test_a_wrong_change_is_refused(worker: Worker, body: Any, code: str) -> None:
    """In the words of who sent it; the action waits as before."""
    action_id = worker.submit(row("wrong1"), scheduledAt=LATER)
    assert error_of(patch(worker, action_id, body))[:2] == (400, code)
    action = worker.action(action_id)
    assert (action["status"], action["scheduledAt"]) == ("SCHEDULED", "2099-12-31T22:00:00.000Z")


def test_nobody_moves_the_actions_of_others(worker: Worker) -> None:
    action_id = worker.submit(row("mine1"), scheduledAt=LATER)
    for missing in (patch(worker, action_id, {"scheduledAt": None}, accountid="other"), patch(worker, UNKNOWN, {})):
        assert error_of(missing)[:2] == (404, "ACTION_NOT_FOUND")


# Bodies


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "INVALID_BODY"),
        (b"\xff\xfe{", 400, "INVALID_BODY"),
        (b"[" * 60_000, 400, "INVALID_BODY"),
        (b'{"scheduledAt": "\\ud800"}', 400, "INVALID_BODY"),
        (b'{"x": "' + b"y" * 70_000 + b'"}', 413, "BODY_TOO_LARGE"),
    ],
    ids=["cut", "no text", "deep", "surrogate", "large"],
)
def test_a_hostile_body_is_refused(worker: Worker, body: bytes, status: int, code: str) -> None:
    action_id = worker.submit(row("hostile1"), scheduledAt=LATER)
    assert error_of(worker.client.patch(f"/bulk-actions/{action_id}", content=body))[:2] == (status, code)


def test_a_body_that_is_cut_off_is_nothing(worker: Worker) -> None:
    """A client that goes away in the middle of its body changes nothing."""
    action_id = worker.submit(row("cut1"), scheduledAt=LATER)
    head = f"PATCH /bulk-actions/{action_id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as connection:
        connection.sendall(head.encode() + b'{"scheduledAt": null}')
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    assert worker.action(action_id)["status"] == "SCHEDULED"


# Cancelling, pausing, going on


def steer(worker: Worker, action_id: str, step: str, body: Any = None, **headers: str) -> httpx.Response:
    return worker.client.post(f"/bulk-actions/{action_id}/{step}", json=body, headers=headers)


def test_a_scheduled_action_is_cancelled(worker: Worker) -> None:
    """All of its rows are unprocessed; nothing is allowed afterwards."""
    action_id = worker.submit(row("cancelled1"), scheduledAt=LATER)
    answer = steer(worker, action_id, "cancel", {"reason": " the wrong file "})
    assert answer.status_code == 200, answer.text
    cancelled = answer.json()
    assert (cancelled["status"], cancelled["cancelledBy"], cancelled["unprocessedCount"]) == ("CANCELLED", ME, 1)
    latest = cancelled["history"][-1]
    assert (latest["by"], latest["reason"]) == (ME, "the wrong file")
    counters = worker.client.get(f"/bulk-actions/{action_id}/stats").json()
    assert (counters["pendingCount"], counters["unprocessedCount"], counters["etaSeconds"]) == (0, 1, 0.0)
    for step in ("cancel", "pause", "resume"):
        refused = steer(worker, action_id, step)
        assert error_of(refused)[:2] == (409, "TRANSITION_NOT_ALLOWED")
        assert refused.json()["status"] == "CANCELLED"
    assert worker.records(action_id) == []


def test_an_action_is_paused_and_resumed(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    expected = Sample(30_000, prefix="paused").write(path)
    action_id = worker.submit(path)
    assert steer(worker, action_id, "pause").json()["status"] == "PAUSED"
    counters = worker.client.get(f"/bulk-actions/{action_id}/stats").json()
    assert (counters["status"], counters["etaSeconds"]) == ("PAUSED", None)
    assert error_of(steer(worker, action_id, "pause"))[0] == 409
    assert steer(worker, action_id, "resume", {"reason": None}).json()["status"] == "PROCESSING"
    ended = worker.wait_ended(action_id)
    assert {name: ended[name] for name in expected.counts()} == expected.counts()
    assert ended["unprocessedCount"] == 0


@pytest.mark.parametrize("reason", [7, ["x"], "x" * 501])
def test_a_reason_is_short_text(worker: Worker, reason: Any) -> None:
    action_id = worker.submit(row("reason1"), scheduledAt=LATER)
    assert error_of(steer(worker, action_id, "cancel", {"reason": reason}))[:2] == (400, "INVALID_REASON")
    assert worker.action(action_id)["status"] == "SCHEDULED"


@pytest.mark.parametrize("step", ["cancel", "pause", "resume"])
def test_nobody_steers_the_actions_of_others(worker: Worker, step: str) -> None:
    action_id = worker.submit(row("mine2"), scheduledAt=LATER)
    for missing in (steer(worker, action_id, step, accountid="other"), steer(worker, UNKNOWN, step)):
        assert error_of(missing)[:2] == (404, "ACTION_NOT_FOUND")
    assert worker.action(action_id)["status"] == "SCHEDULED"


# Deleting


def test_an_action_is_deleted(worker: Worker, shared_environment: dict[str, str]) -> None:
    """It is gone at once for whoever asks, soon from every store, and its records stay."""
    key = {"Idempotency-Key": "deleted1"}
    sent = worker.client.post(
        "/bulk-actions", data=REQUIRED, files={"file": ("upload.csv", row("deleted1"), "text/csv")}, headers=key
    )
    action_id = sent.json()["actionId"]
    worker.wait_ended(action_id)
    path = f"/bulk-actions/{action_id}"
    for _ in range(2):
        answer = worker.client.delete(path)
        assert (answer.status_code, answer.json()) == (202, {"actionId": action_id})
        for gone in (path, *(f"{path}/{part}" for part in ("stats", "records", "results", "failures", "events"))):
            assert error_of(worker.client.get(gone))[:2] == (404, "ACTION_NOT_FOUND")
    for step in ("cancel", "pause", "resume", "retry"):
        assert error_of(steer(worker, action_id, step))[:2] == (404, "ACTION_NOT_FOUND")
    assert action_id not in worker.client.get("/bulk-actions").text
    assert worker.client.get("/bulk-actions", params={"idempotencyKey": "deleted1"}).json() == []
    mongo_uri, redis_uri = shared_environment["MONGO_DB_URI"], shared_environment["REDIS_URI"]
    directory = storage_of(shared_environment) / action_id
    wait_for(lambda: not leftovers(mongo_uri, redis_uri, action_id) and not directory.exists(), "nothing is left")
    assert "deleted1" in contacts(mongo_uri, "deleted1")
    assert worker.client.delete(path).status_code == 202
    # The key is free: the same request is another action.
    again = worker.client.post(
        "/bulk-actions", data=REQUIRED, files={"file": ("upload.csv", row("deleted1"), "text/csv")}, headers=key
    )
    assert again.json()["actionId"] != action_id


def test_what_runs_is_not_deleted(worker: Worker) -> None:
    action_id = worker.submit(row("undeleted1"), scheduledAt=LATER)
    refused = worker.client.delete(f"/bulk-actions/{action_id}")
    assert error_of(refused) == (409, "TRANSITION_NOT_ALLOWED", "The action is SCHEDULED: it cannot be deleted.")
    assert refused.json()["status"] == "SCHEDULED"
    assert worker.action(action_id)["status"] == "SCHEDULED"


@pytest.mark.parametrize("action_id", [UNKNOWN, "x", "..%2F..", "0" * 23])
def test_unknown_action_is_not_deleted(worker: Worker, action_id: str) -> None:
    assert error_of(worker.client.delete(f"/bulk-actions/{action_id}"))[:2] == (404, "ACTION_NOT_FOUND")


# Stopping before it gets worse


def test_too_many_failures_pause(worker: Worker, tmp_path: Path) -> None:
    """The action says why, goes on when it is told to, and is exact."""
    path = tmp_path / "bad.csv"
    expected = Sample(20_000, prefix="bad", invalid=0.2).write(path)
    action_id = worker.submit(path, maxFailures="5%")

    def paused() -> dict[str, Any] | None:
        action = worker.action(action_id)
        return action if action["status"] == "PAUSED" else None

    action = wait_for(paused, "the action is paused")
    assert action["maxFailures"] == "5%"
    assert "rows have failed, and maxFailures is 5%. Most often: " in action["history"][-1]["reason"]
    assert len(action["commonFailures"]) == 3
    assert all(kind["count"] > 1 and kind["firstRow"] >= 1 for kind in action["commonFailures"])
    steer(worker, action_id, "resume")
    ended = worker.wait_ended(action_id)
    assert {name: ended[name] for name in expected.counts()} == expected.counts()


@pytest.mark.parametrize("limit", ["some", "-1", "200%", "1.5"])
def test_no_limit_of_failures_is_refused(worker: Worker, limit: str) -> None:
    answer = worker.upload(row("limit1"), maxFailures=limit)
    assert error_of(answer)[:2] == (400, "INVALID_MAX_FAILURES")


# Retrying


def test_failed_rows_are_retried(worker: Worker) -> None:
    """As an action of their own, linked both ways, whose rows say which they were."""
    rows = HEADER + b'r1,A,r1@example.com,active\nr2,"B,\n2",nobody,active\nr3,C,r3@example.com,odd\n'
    action_id = worker.submit(rows, maxFailures="100")
    worker.wait_ended(action_id)
    answer = steer(worker, action_id, "retry", **{"Idempotency-Key": "retry e2e"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["status"], made["totalCount"]) == ("QUEUED", 2)
    assert answer.headers["Location"] == f"/bulk-actions/{made['actionId']}"
    again = steer(worker, action_id, "retry", **{"Idempotency-Key": "retry e2e"})
    assert (again.status_code, again.json()["actionId"]) == (201, made["actionId"])
    assert again.headers["Idempotency-Replayed"] == "true"
    ended = worker.wait_ended(made["actionId"])
    assert (ended["retryOf"], ended["failureCount"], ended["maxFailures"]) == (action_id, 2, None)
    assert worker.action(action_id)["retriedBy"] == made["actionId"]
    shown = [(row["row"], row["originalRow"], row["code"]) for row in worker.records(made["actionId"])]
    assert shown == [(1, 2, "INVALID_EMAIL"), (2, 3, "INVALID_STATUS")]
    assert "originalRow" not in worker.records(action_id)[0]


def test_a_retry_is_refused_with_the_reason(worker: Worker) -> None:
    """Before the end, without failures, while there is one under way."""
    waiting = worker.submit(row("waiting1"), scheduledAt=LATER)
    refused = steer(worker, waiting, "retry")
    assert error_of(refused)[:2] == (409, "TRANSITION_NOT_ALLOWED")
    assert refused.json()["status"] == "SCHEDULED"
    good = worker.submit(row("good1"))
    worker.wait_ended(good)
    assert error_of(steer(worker, good, "retry"))[:2] == (409, "NOTHING_TO_RETRY")
    for missing in (steer(worker, good, "retry", accountid="other"), steer(worker, UNKNOWN, "retry")):
        assert error_of(missing)[:2] == (404, "ACTION_NOT_FOUND")
    wrong = steer(worker, good, "retry", **{"Idempotency-Key": "x" * 256})
    assert error_of(wrong)[:2] == (400, "INVALID_IDEMPOTENCY_KEY")


def test_a_retry_under_way_is_named(worker: Worker, shared_environment: dict[str, str]) -> None:
    bad = worker.submit(HEADER + b"bad1,A,nobody,active\n")
    worker.wait_ended(bad)
    made = steer(worker, bad, "retry").json()["actionId"]
    worker.wait_ended(made)
    with pymongo.MongoClient[dict[str, Any]](shared_environment["MONGO_DB_URI"]) as client:
        actions = client.get_default_database()["bulk_operations"]
        actions.update_one({"_id": made}, {"$set": {"status": "PAUSED"}})
    refused = steer(worker, bad, "retry")
    assert error_of(refused)[:2] == (409, "ALREADY_RETRIED")
    assert refused.json()["retriedBy"] == made
