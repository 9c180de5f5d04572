"""What became of the rows, as a client downloads it from a running worker."""

from __future__ import annotations

import csv
import io
import json
import uuid
from pathlib import Path

import httpx
import pytest

from tests.support.assertions import error_of
from tests.support.workers import Worker

RESULTS = ["_row", "_status", "_code", "_column", "_message", "_recordId"]
UNKNOWN = "0" * 24


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"r{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def action(worker: Worker, prefix: str) -> str:
    rows = [
        "id;name;email;status;=note",
        f"{prefix}1;Ada;{prefix}1@example.com;active;=1+1",
        f"{prefix}2;Bo;nobody;active;@x",
        f"{prefix}1;Ada again;{prefix}9@example.com;active;",
        f"{prefix}4;Cy;{prefix}4@example.com;aktiv;",
        f"{prefix}5;Di;{prefix}5@example.com;aktiv;",
    ]
    action_id = worker.submit("\r\n".join(rows).encode())
    worker.wait_ended(action_id)
    return action_id


def table(answer: httpx.Response, delimiter: str = ";") -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline=""), delimiter=delimiter))


def test_results_are_a_csv(worker: Worker, action: str, prefix: str) -> None:
    """The upload comes back with what became of each row, safe for a spreadsheet."""
    answer = worker.client.get(f"/bulk-actions/{action}/results")
    header, *rows = table(answer)
    assert header == ["id", "name", "email", "status", "'=note", *RESULTS]
    assert [row[5:8] for row in rows] == [
        ["1", "SUCCESS", "CREATED"],
        ["2", "FAILED", "INVALID_EMAIL"],
        ["3", "SKIPPED", "DUPLICATE"],
        ["4", "FAILED", "INVALID_STATUS"],
        ["5", "FAILED", "INVALID_STATUS"],
    ]
    assert [row[4] for row in rows] == ["'=1+1", "'@x", "", "", ""]
    assert [row[10] for row in rows] == [f"{prefix}1", "", "", "", ""]
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{action}-results.csv"'
    assert (answer.headers["X-Cells-Defused"], answer.headers["Vary"]) == ("apostrophe", "Accept")
    assert answer.headers["X-Request-ID"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_results_can_be_json(worker: Worker, action: str) -> None:
    """As JSON each row is an object, and cells are as they were uploaded."""
    accept = {"Accept": "application/x-ndjson"}
    answer = worker.client.get(f"/bulk-actions/{action}/results", headers=accept, params={"status": "skipped,FAILED"})
    assert answer.status_code == 200
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["_row"] for row in rows] == [2, 3, 4, 5]
    assert rows[0]["=note"] == "@x"
    assert rows[0]["_message"] == 'email is not an email address: "nobody"'
    assert (rows[0]["_recordId"], rows[1]["_column"]) == (None, None)
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    name = f"{action}-results-failed-skipped.ndjson"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert "X-Cells-Defused" not in answer.headers


def test_head_says_what_there_is(worker: Worker, action: str) -> None:
    answer = worker.client.head(f"/bulk-actions/{action}/results", params={"status": "FAILED"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{action}-results-failed.csv"'


def test_failures_are_grouped(worker: Worker, action: str) -> None:
    """One look says what is wrong."""
    answer = worker.client.get(f"/bulk-actions/{action}/failures")
    assert answer.status_code == 200
    found = answer.json()
    assert {name: found[name] for name in ("actionId", "failureCount", "examinedCount", "groupCount")} == {
        "actionId": action,
        "failureCount": 3,
        "examinedCount": 3,
        "groupCount": 2,
    }
    assert found["groups"] == [
        {
            "code": "INVALID_STATUS",
            "count": 2,
            "message": 'status is not one of active, inactive, pending, archived: "aktiv"',
            "rows": [4, 5],
            "column": "status",
            "value": "aktiv",
        },
        {
            "code": "INVALID_EMAIL",
            "count": 1,
            "message": 'email is not an email address: "nobody"',
            "rows": [2],
            "column": "email",
            "value": "nobody",
        },
    ]
    assert len(worker.client.get(f"/bulk-actions/{action}/failures", params={"limit": 1}).json()["groups"]) == 1


def test_corrected_failures_are_taken(worker: Worker, action: str, prefix: str) -> None:
    """What failed is downloaded, corrected, and uploaded as it is."""
    failed = worker.client.get(f"/bulk-actions/{action}/results", params={"status": "FAILED"}).content
    corrected = failed.replace(b";nobody;", f";{prefix}2@example.com;".encode()).replace(b";aktiv;", b";active;")
    answer = worker.upload(corrected)
    assert answer.status_code == 201, answer.text
    assert answer.json()["ignoredColumns"] == ["=note"]
    again = answer.json()["actionId"]
    ended = worker.wait_ended(again)
    assert (ended["totalCount"], ended["successCount"]) == (3, 3)
    header, *rows = table(worker.client.get(f"/bulk-actions/{again}/results"))
    assert header == ["id", "name", "email", "status", "'=note", *RESULTS]
    assert [(row[0], row[4], row[5]) for row in rows] == [
        (f"{prefix}2", "'@x", "1"),
        (f"{prefix}4", "", "2"),
        (f"{prefix}5", "", "3"),
    ]


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("results?status=BROKEN", {}, (400, "INVALID_STATUS")),
        ("results?status=FAILED,", {}, None),
        ("results?limit=1", {}, (400, "UNKNOWN_PARAMETER")),
        ("results", {"Accept": "application/json"}, (406, "NOT_ACCEPTABLE")),
        ("failures?limit=0", {}, (400, "INVALID_LIMIT")),
        ("failures?status=FAILED", {}, (400, "UNKNOWN_PARAMETER")),
        ("results", {"accountid": "other"}, (404, "ACTION_NOT_FOUND")),
        ("failures", {"accountid": "other"}, (404, "ACTION_NOT_FOUND")),
    ],
)
def test_wrong_questions_are_refused(
    worker: Worker, action: str, path: str, headers: dict[str, str], expected: tuple[int, str] | None
) -> None:
    answer = worker.client.get(f"/bulk-actions/{action}/{path}", headers=headers)
    if expected is None:
        assert answer.status_code == 200
    else:
        assert error_of(answer)[:2] == expected


@pytest.mark.parametrize("part", ["results", "failures"])
def test_unknown_action_has_none(worker: Worker, part: str) -> None:
    for action_id in (UNKNOWN, "x"):
        assert error_of(worker.client.get(f"/bulk-actions/{action_id}/{part}"))[:2] == (404, "ACTION_NOT_FOUND")


def test_lost_file_is_told(worker: Worker, shared_environment: dict[str, str]) -> None:
    """Without the file of the upload there are no results, and that is said."""
    action_id = worker.submit(f"id,name,email,status\nlost{uuid.uuid4().hex},A,nobody,active\n".encode())
    worker.wait_ended(action_id)
    storage = shared_environment["STORAGE_URI"].removeprefix("file://")
    (Path(storage) / action_id / "upload.csv").unlink()
    for part in ("results", "failures"):
        status, code, message = error_of(worker.client.get(f"/bulk-actions/{action_id}/{part}"))
        assert (status, code) == (410, "ROWS_UNREADABLE")
        assert "its file is not stored any more" in message
