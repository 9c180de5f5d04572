"""Rows over Kafka as a client sends them: opened, produced, closed, and exactly counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.assertions import assert_verified, error_of
from tests.support.files import HEADER
from tests.support.producers import open_stream, produce
from tests.support.streams import contact
from tests.support.waiting import wait_for
from tests.support.workers import Worker


def close(worker: Worker, action_id: str, **declared: Any) -> httpx.Response:
    return worker.client.post(f"/bulk-actions/{action_id}/close", json=declared)


def test_rows_over_kafka(worker: Worker) -> None:
    """They run while the action is open, are named by chunk and place, and are all there when it ends."""
    opened = open_stream(worker)
    assert opened["status"] == "OPEN"
    assert opened["topic"] == worker.environment["KAFKA_TOPIC"]
    action_id = opened["actionId"]
    produce(worker, opened, {1: [contact(1), contact(2, email="none")], 0: [contact(3)]})
    wait_for(lambda: worker.action(action_id)["processedCount"] == 3, "the rows have run")
    shown = worker.action(action_id)
    assert (shown["status"], shown["totalCount"], shown["chunkCount"]) == ("OPEN", None, None)
    assert (shown["stream"]["receivedRows"], shown["stream"]["receivedChunks"]) == (3, 2)
    statistics = worker.client.get(f"/bulk-actions/{action_id}/stats").json()
    assert (statistics["totalCount"], statistics["pendingCount"], statistics["etaSeconds"]) == (None, None, None)
    assert close(worker, action_id, rows=3, chunks=2).status_code == 200
    ended = worker.wait_ended(action_id)
    assert (ended["status"], ended["totalCount"], ended["successCount"], ended["failureCount"]) == (
        "COMPLETED",
        3,
        2,
        1,
    )
    rows = [(row["row"], row["chunk"], row["place"], row["status"]) for row in worker.records(action_id)]
    assert rows == [(1, 0, 1, "SUCCESS"), (10_001, 1, 1, "SUCCESS"), (10_002, 1, 2, "FAILED")]
    assert_verified(worker.environment, action_id)


def test_messages_in_other_forms(worker: Worker) -> None:
    """Without an index, in the envelope of Kafka Connect, with the token in the body."""
    opened = open_stream(worker)
    produce(worker, opened, [[contact(11)], [contact(12)]])
    produce(worker, opened, [[contact(13)]], connect=True)
    produce(worker, opened, [[contact(14)]], token_in_body=True)
    close(worker, opened["actionId"], rows=4)
    ended = worker.wait_ended(opened["actionId"])
    assert (ended["status"], ended["successCount"], ended["chunkCount"]) == ("COMPLETED", 4, 4)
    assert_verified(worker.environment, opened["actionId"])


def test_a_stranger_changes_nothing(worker: Worker) -> None:
    """Messages without the token, and what is no message, leave the action as it is."""
    opened = open_stream(worker)
    produce(worker, {**opened, "streamToken": "guessed"}, {0: [contact(21)]})
    produce(worker, opened, {1: ["no object"]})
    produce(worker, opened, {0: [contact(22)]})
    action_id = opened["actionId"]
    wait_for(lambda: worker.action(action_id)["stream"]["refusedChunks"] == 1, "the bad chunk is refused")
    [letter] = worker.dead_letters(actionId=action_id)
    assert (letter["kind"], letter["index"]) == ("ROWS", 1)
    assert opened["streamToken"] not in letter["payload"]
    assert error_of(worker.client.post(f"/dead-letters/{letter['id']}/replay"))[1] == "ROWS_REFUSED"
    close(worker, action_id, chunks=1)
    assert worker.wait_ended(action_id)["successCount"] == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another source": ({"source": "topic", "actionType": "BULK_UPDATE", "entityType": "Contact"}, "INVALID_SOURCE"),
    "no source": ({"actionType": "BULK_UPDATE", "entityType": "Contact"}, "FILE_REQUIRED"),
    "no entity": ({"source": "stream", "actionType": "BULK_UPDATE"}, "FIELDS_REQUIRED"),
    "an unknown action": ({"source": "stream", "actionType": 7, "entityType": "Contact"}, "ACTION_TYPE_UNSUPPORTED"),
    "an unknown entity": (
        {"source": "stream", "actionType": "BULK_UPDATE", "entityType": []},
        "ENTITY_TYPE_UNSUPPORTED",
    ),
    "a field of files": (
        {"source": "stream", "actionType": "BULK_UPDATE", "entityType": "Contact", "delimiter": ";"},
        "UNKNOWN_FIELD",
    ),
    "an odd limit": (
        {"source": "stream", "actionType": "BULK_UPDATE", "entityType": "Contact", "maxFailures": {}},
        "INVALID_MAX_FAILURES",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused_openings(worker: Worker, case: str) -> None:
    body, code = REFUSED[case]
    assert error_of(worker.client.post("/bulk-actions", json=body))[:2] == (400, code)


@pytest.mark.parametrize("body", [{}, {"rows": -1}, {"rows": True}, {"chunks": "2"}, {"rows": 1.5}, {"chunks": 10**6}])
def test_refused_declarations(worker: Worker, body: dict[str, Any]) -> None:
    action_id = open_stream(worker)["actionId"]
    answer = worker.client.post(f"/bulk-actions/{action_id}/close", json=body)
    assert error_of(answer)[:2] == (400, "INVALID_DECLARATION")


def test_what_cannot_be_closed(worker: Worker) -> None:
    """An action of a file, one that was closed otherwise, one that was cancelled, and one that is not there."""
    file = worker.submit(HEADER + b"f31,N,f31@example.com,active\n")
    assert error_of(close(worker, file, rows=1))[:2] == (409, "NOT_A_STREAM")
    opened = open_stream(worker)["actionId"]
    assert close(worker, opened, rows=2).status_code == close(worker, opened, rows=2).status_code == 200
    assert error_of(close(worker, opened, rows=3))[:2] == (409, "ALREADY_CLOSED")
    other = open_stream(worker)["actionId"]
    worker.client.post(f"/bulk-actions/{other}/cancel")
    assert error_of(close(worker, other, rows=1))[:2] == (409, "TRANSITION_NOT_ALLOWED")
    assert error_of(close(worker, "0" * 24, rows=1))[:2] == (404, "ACTION_NOT_FOUND")


def test_opened_again_with_a_key(worker: Worker) -> None:
    """The answer that was lost is given again, with a token that is valid."""
    headers = {"Idempotency-Key": "stream-1"}
    first, again = open_stream(worker, headers=headers), open_stream(worker, headers=headers)
    assert first["actionId"] == again["actionId"]
    produce(worker, again, {0: [contact(41)]})
    close(worker, again["actionId"], chunks=1)
    assert worker.wait_ended(again["actionId"])["successCount"] == 1


def test_an_action_that_nobody_closes(start_worker: Callable[..., Worker]) -> None:
    """It ends by itself after STREAM_TIMEOUT, with what has come; its producer is told, late, in the dead letters."""
    worker = start_worker(STREAM_TIMEOUT="2")
    opened = open_stream(worker)
    produce(worker, opened, {0: [contact(51)]})
    ended = worker.wait_ended(opened["actionId"])
    assert (ended["status"], ended["totalCount"], ended["successCount"]) == ("FAILED", 1, 1)
    assert ended["error"] == "It was not closed, and no chunk came for 2 seconds; 1 row in 1 chunk arrived."
    produce(worker, opened, {1: [contact(52)]})
    [letter] = wait_for(lambda: worker.dead_letters(actionId=opened["actionId"]), "the late chunk is refused")
    assert (letter["kind"], letter["index"]) == ("ROWS", 1)
    assert_verified(worker.environment, opened["actionId"])
