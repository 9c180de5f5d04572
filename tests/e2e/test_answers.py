"""What a running worker answers to people: all that is wrong, what it understood, and nothing that they have."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.support.assertions import error_of
from tests.support.clients import UploadClient
from tests.support.files import CONTACTS, HEADER
from tests.support.forms import END as END_OF_FORM
from tests.support.forms import MULTIPART, fields, file_part, form, part
from tests.support.workers import Worker

LATER = "2100-01-01T00:00:00+02:00"
UNKNOWN = "0" * 24


@pytest.fixture
def uploads(worker: Worker, shared_environment: dict[str, str]) -> UploadClient:
    return UploadClient.of(worker, shared_environment)


def faults(answer: httpx.Response) -> list[tuple[str | None, str]]:
    """Every fault that is told: its field and its code."""
    found = [(fault["field"], fault["code"]) for fault in answer.json().get("errors", [])]
    error_of(answer)
    return found


# All that is wrong


@pytest.mark.parametrize("first", ["fields", "file"])
def test_form_and_file_faults_together(uploads: UploadClient, first: str) -> None:
    """Faults of form and file are told together."""
    parts = [
        fields(scheduledAt="tomorrow", scheduled_at=LATER),
        file_part(b"id,name,id\n"),
    ]
    before = uploads.files()
    answer = uploads.post(b"".join(parts if first == "fields" else parts[::-1]) + END_OF_FORM)
    assert error_of(answer)[:2] == (400, "INVALID_SCHEDULE")
    assert faults(answer) == [
        ("scheduledAt", "INVALID_SCHEDULE"),
        ("scheduled_at", "UNKNOWN_FIELD"),
        ("file", "INVALID_HEADER"),
        ("file", "INVALID_HEADER"),
        ("file", "NO_ROWS"),
    ]
    assert uploads.files() == before


def test_bad_file_does_not_hide_the_form(uploads: UploadClient) -> None:
    """A file that is not one does not hide the faults of the form."""
    answer = uploads.post(file_part(b"\x89PNG\r\n\x1a\n") + fields(delimiter="x") + END_OF_FORM)
    assert faults(answer) == [("file", "NOT_CSV"), ("delimiter", "INVALID_DELIMITER")]


def test_faulty_upload_is_not_read(uploads: UploadClient) -> None:
    """A large file is not read to its end for nothing.

    A fault that is known when the file begins is told without the whole of it.
    """
    rows = CONTACTS + b"refused2,Nobody,refused2@example.com,active\n" * 40_000
    body = fields(delimiter="x") + file_part(rows)[:-100_000]
    # The form is not complete, and is refused all the same: nobody waited for its end.
    assert error_of(uploads.post(body))[:2] == (400, "INVALID_DELIMITER")


def test_an_unknown_field_is_no_upload(uploads: UploadClient) -> None:
    before = uploads.actions()
    status, code, message = error_of(uploads.post(form(CONTACTS, scheduled_at=LATER)))
    assert (status, code) == (400, "UNKNOWN_FIELD")
    assert "did you mean scheduledAt?" in message
    assert uploads.actions() == before


@pytest.mark.parametrize(
    "path",
    [
        "/bulk-actions?sort=x",
        f"/bulk-actions/{'0' * 24}?x=1",
        f"/bulk-actions/{'0' * 24}/stats?x=1",
        "/dead-letters?x=1",
    ],
)
def test_an_unknown_parameter_is_refused(worker: Worker, path: str) -> None:
    assert error_of(worker.client.get(path))[:2] == (400, "UNKNOWN_PARAMETER")


def test_query_field_is_refused(uploads: UploadClient) -> None:
    """A field in the query is not an upload."""
    answer = uploads.worker.client.post(
        "/bulk-actions", params={"scheduledAt": LATER}, content=form(CONTACTS), headers={"Content-Type": MULTIPART}
    )
    assert error_of(answer)[:2] == (400, "UNKNOWN_PARAMETER")


def test_health_ignores_parameters(worker: Worker) -> None:
    """Whoever asks for health may add anything."""
    assert worker.client.get("/health?at=1").status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"actionType=BULK_UPDATE&file=@x.csv", "application/x-www-form-urlencoded"),
        (CONTACTS, "text/csv"),
        (fields() + part("file", "contacts.csv") + END_OF_FORM, MULTIPART),
    ],
    ids=["-d", "--data-binary", "file=name"],
)
def test_who_sends_no_file_is_told_how_to(uploads: UploadClient, body: bytes, content_type: str) -> None:
    answer = uploads.post(body, content_type)
    assert error_of(answer) == (400, "FILE_REQUIRED", "Please upload a CSV file to proceed.")
    assert "-F file=@name" in answer.json()["errors"][0]["message"]


# What was understood


def test_upload_tells_what_was_understood(worker: Worker) -> None:
    """An upload is told what was understood."""
    rows = b"sep=;\r\nid;name;email;status;note\r\nu1;A;u1@example.com;active;x\r\n;;;;\r\n"
    answer = worker.upload(rows, scheduledAt=LATER)
    told_ = answer.json()
    assert answer.status_code == 201, told_
    assert answer.headers["Location"] == f"/bulk-actions/{told_['actionId']}"
    assert worker.client.get(answer.headers["Location"]).json()["actionId"] == told_["actionId"]
    assert told_["message"] == "Success! Your bulk action has been scheduled for 2099-12-31T22:00:00.000Z."
    understood = {name: told_[name] for name in ("totalCount", "scheduledAt", "delimiter", "ignoredColumns")}
    assert understood == {
        "totalCount": 1,
        "scheduledAt": "2099-12-31T22:00:00.000Z",
        "delimiter": ";",
        "ignoredColumns": ["note"],
    }


def test_queued_upload_has_known_words(worker: Worker) -> None:
    """A queued upload has the words that clients know."""
    answer = worker.upload(HEADER + b"q1,A,q1@example.com,active\n", delimiter="comma").json()
    assert answer["message"] == "Success! Your bulk action has been queued for processing."
    assert (answer["scheduledAt"], answer["delimiter"], answer["ignoredColumns"]) == (None, ",", [])


def test_damaged_id_is_a_failed_row(worker: Worker) -> None:
    """A damaged id is a failed row, and not a duplicate."""
    rows = HEADER + b"4.9E+11,A,sci1@example.com,active\n4.9E+11,B,sci2@example.com,active\n,,,\n"
    action_id = worker.submit(rows)
    assert worker.wait_ended(action_id)["failureCount"] == 2
    assert {row["code"] for row in worker.records(action_id)} == {"ID_IN_SCIENTIFIC_NOTATION"}


# What was lost on the way, and what is there already


def upload(worker: Worker, account: str, key: str) -> dict[str, Any]:
    answer = worker.client.post(
        "/bulk-actions",
        content=form(CONTACTS, scheduledAt=LATER),
        headers={"Content-Type": MULTIPART, "Idempotency-Key": key, "accountid": account},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_lost_answer_is_found_by_key(worker: Worker) -> None:
    """A lost answer is found by its key."""
    key = f"lost {uuid.uuid4()}"
    made = upload(worker, "lost", key)

    def found(account: str, key: str) -> list[str]:
        answer = worker.client.get("/bulk-actions", params={"idempotencyKey": key}, headers={"accountid": account})
        return [action["actionId"] for action in answer.json()]

    assert found("lost", key) == [made["actionId"]]
    assert found("lost", "another") == []
    assert found("other", key) == []


def test_a_key_that_cannot_be_is_refused(worker: Worker) -> None:
    answer = worker.client.get("/bulk-actions", params={"idempotencyKey": "ü"})
    assert error_of(answer)[:2] == (400, "INVALID_IDEMPOTENCY_KEY")


def test_polling_sends_only_changes(worker: Worker) -> None:
    """Who polls is sent only what is new."""
    rows = HEADER + b"etag1,A,etag1@example.com,active\n"
    action_id = worker.submit(rows, scheduledAt=LATER)
    for path in (f"/bulk-actions/{action_id}", f"/bulk-actions/{action_id}/stats", "/bulk-actions?limit=1"):
        first = worker.client.get(path)
        tag = first.headers["ETag"]
        again = worker.client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert "no-store" not in first.headers["Cache-Control"]
        other = worker.client.get(path, headers={"If-None-Match": '"another"'})
        assert other.json() == first.json()
    path = f"/bulk-actions/{worker.submit(rows)}"
    tag = worker.client.get(path).headers["ETag"]
    worker.wait_ended(path.rpartition("/")[2])
    answer = worker.client.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
