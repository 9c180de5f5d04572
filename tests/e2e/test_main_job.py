"""The main job on the running system: a file goes in, and every row is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stack.samples import Sample
from tests.support.assertions import assert_exact, contacts
from tests.support.waiting import wait_for
from tests.support.workers import Worker

StartWorker = Callable[..., Worker]


def test_large_file_is_accounted_for(start_worker: StartWorker, environment: dict[str, str], tmp_path: Path) -> None:
    """Every row of a large file is accounted for."""
    sample = Sample(100_000, seed=3)
    expected = sample.write(tmp_path / "contacts.csv")
    worker = start_worker()
    action = worker.submit(tmp_path / "contacts.csv")
    ended = worker.wait_ended(action)
    assert ended["createdCount"] == expected.success
    assert_exact(worker, action, sample, expected, environment["MONGO_DB_URI"])


def test_joining_worker_changes_nothing(start_worker: StartWorker, environment: dict[str, str], tmp_path: Path) -> None:
    """A second worker that joins in the middle changes nothing."""
    sample = Sample(100_000, seed=4)
    expected = sample.write(tmp_path / "contacts.csv")
    first = start_worker(STALL_TIMEOUT="5")
    action = first.submit(tmp_path / "contacts.csv")
    first.wait_processed(action, more_than=5_000)
    second = start_worker(STALL_TIMEOUT="5", wait=False)
    first.wait_ended(action)
    second.wait_ready()
    assert_exact(second, action, sample, expected, environment["MONGO_DB_URI"])


def test_repeated_upload_updates_all(worker: Worker, shared_environment: dict[str, str], tmp_path: Path) -> None:
    """Uploading the same file again updates every record."""
    first, again = (Sample(3_000, seed=5, prefix="again", name_suffix=suffix) for suffix in ("", " II"))
    expected = first.write(tmp_path / "first.csv")
    again.write(tmp_path / "again.csv")
    assert worker.wait_ended(worker.submit(tmp_path / "first.csv"))["createdCount"] == expected.success
    action = worker.submit(tmp_path / "again.csv")
    ended = worker.wait_ended(action)
    assert (ended["createdCount"], ended["updatedCount"]) == (0, expected.success)
    assert_exact(worker, action, again, expected, shared_environment["MONGO_DB_URI"])


def test_upload_answer_knows_the_total(worker: Worker) -> None:
    """The answer to the upload knows the exact total."""
    answer = worker.upload(b'id,name,email,status\n1,"two\nlines",a1@example.com,active\n\n2,B,b2@example.com,active')
    assert answer.status_code == 201
    assert answer.json()["status"] == "QUEUED"
    assert answer.json()["message"] == "Success! Your bulk action has been queued for processing."
    assert worker.action(answer.json()["actionId"])["totalCount"] == 2


def test_bad_rows_fail_alone(worker: Worker) -> None:
    """Each bad row fails by itself, with code, column and message."""
    action = worker.submit(
        b"id,name,email,status\n"
        b"bad1,G\xc3\xb6\xc3\xb6d,bad1@example.com,active\n"
        b"bad2,Few,bad2@example.com\n"
        b"bad3,Many,bad3@example.com,active,more\n"
        b"bad4,Mail,nobody,active\n"
        b"bad5,State,bad5@example.com,sleeping\n"
        b"bad6,Br\xffken,bad6@example.com,active\n"
        b"bad7,Also Good,bad7@example.com,ACTIVE\n"
        b'bad8,"Open,bad8@example.com,active\n'
    )
    ended = worker.wait_ended(action)
    assert (ended["successCount"], ended["failureCount"], ended["totalCount"]) == (2, 6, 8)
    failed = worker.records(action, status="FAILED")
    assert [(row["row"], row["code"], row.get("column")) for row in failed] == [
        (2, "WRONG_FIELD_COUNT", None),
        (3, "WRONG_FIELD_COUNT", None),
        (4, "INVALID_EMAIL", "email"),
        (5, "INVALID_STATUS", "status"),
        (6, "INVALID_UTF8", "name"),
        (8, "UNTERMINATED_QUOTE", "name"),
    ]
    assert all(row["message"] for row in failed)


def test_later_duplicate_is_skipped(worker: Worker) -> None:
    """A later row with the same id or email is skipped, and names its owner."""
    action = worker.submit(
        b"id,name,email,status\n"
        b"dup1,One,dup1@example.com,active\n"
        b"dup1,Same id,other@example.com,active\n"
        b"dup2,Same email,DUP1@example.com,active\n"
        b"dup2,Free again,dup2@example.com,active\n"
    )
    ended = worker.wait_ended(action)
    assert (ended["successCount"], ended["skippedCount"], ended["duplicateCount"]) == (2, 2, 2)
    skipped = worker.records(action, status="SKIPPED")
    assert [(row["row"], row["ownerRow"]) for row in skipped] == [(2, 1), (3, 1)]


@pytest.mark.parametrize("order", ["delimiter first", "delimiter last", "no delimiter"])
def test_delimiter_may_come_anywhere(worker: Worker, order: str) -> None:
    """The delimiter may be chosen wherever the field stands in the form, or not at all."""
    prefix = order.replace(" ", "-")
    content = f'id;name;email;status\n{prefix};"semi;colon\nand two lines";{prefix}@example.com;active\n'.encode()
    file = ("file", ("u.csv", content, "text/csv"))
    field = ("delimiter", (None, ";"))
    parts = [("entityType", (None, "Contact")), ("actionType", (None, "BULK_UPDATE"))]
    parts += {"delimiter first": [field, file], "delimiter last": [file, field], "no delimiter": [file]}[order]
    answer = worker.client.post("/bulk-actions", files=parts)
    assert answer.status_code == 201, answer.text
    ended = worker.wait_ended(answer.json()["actionId"])
    assert (ended["totalCount"], ended["successCount"]) == (1, 1)
    source = "detected" if order == "no delimiter" else "given"
    assert (ended["delimiter"], ended["delimiterSource"]) == (";", source)


def test_statistics_show_the_progress(worker: Worker, tmp_path: Path) -> None:
    """Statistics tell what is pending and how fast it goes."""
    expected = Sample(2_000, seed=6, prefix="stat").write(tmp_path / "s.csv")
    action = worker.submit(tmp_path / "s.csv")
    worker.wait_ended(action)
    stats = worker.client.get(f"/bulk-actions/{action}/stats").json()
    assert {name: stats[name] for name in expected.counts()} == expected.counts()
    assert (stats["pendingCount"], stats["etaSeconds"]) == (0, 0.0)
    assert stats["rowsPerSecond"] > 0


def test_list_is_newest_first(worker: Worker) -> None:
    """The list is newest first, and goes on by its Link header."""
    made = [worker.submit(f"id,name,email,status\nl{n},N,l{n}@example.com,active\n".encode()) for n in range(3)]
    answer = worker.client.get("/bulk-actions", params={"limit": 2, "entityType": "Contact"})
    following = worker.client.get(answer.links["next"]["url"])
    listed = [entry["actionId"] for entry in [*answer.json(), *following.json()]]
    assert listed[:3] == made[::-1]


def test_scheduled_action_runs_once(start_worker: StartWorker, environment: dict[str, str]) -> None:
    """A scheduled action waits for its time, and runs once with two workers."""
    first, second = start_worker(), start_worker()
    due = datetime.now(UTC) + timedelta(seconds=4)
    answer = first.upload(
        b"id,name,email,status\ns1,S,s1@example.com,active\n", scheduledAt=due.isoformat(timespec="seconds")
    )
    assert answer.json()["status"] == "SCHEDULED"
    action = answer.json()["actionId"]
    wait_for(lambda: second.action(action)["status"] != "SCHEDULED", "its time has come")
    ended = second.wait_ended(action)
    started = datetime.fromisoformat(ended["startedAt"])
    assert started >= due.replace(microsecond=0)
    assert (ended["status"], ended["processedCount"], ended["createdCount"]) == ("COMPLETED", 1, 1)
    assert contacts(environment["MONGO_DB_URI"], "s1") == {"s1": ("S", "s1@example.com", "active")}


def test_large_upload_needs_little_memory(start_worker: StartWorker, tmp_path: Path) -> None:
    """A large upload leaves the worker small."""
    line = b"%d," + b"x" * 180 + b",u%d@example.com,active\n"
    size = 300 * 1024**2
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"id,name,email,status\n")
        number = 0
        while file.tell() < size:
            file.write(b"".join(line % (n, n) for n in range(number, number + 10_000)))
            number += 10_000
    worker = start_worker()
    answer = worker.upload(path, scheduledAt="2100-01-01T00:00:00Z")
    assert answer.status_code == 201, answer.text
    assert worker.action(answer.json()["actionId"])["totalCount"] == number
    assert worker.peak_memory() < 300 * 1024**2


def test_files_of_excel_are_taken(worker: Worker) -> None:
    """What Excel saves as CSV and as Unicode text in German goes through without a word."""
    text = "id;name;email;status\r\n{0}1;Jürgen „Müller“ – 5 €;{0}1@example.com;active\r\n"
    files = {
        "windows-1252": text.format("excel").encode("cp1252"),
        "utf-16le": text.replace(";", "\t").format("unicode").encode("utf-16"),
    }
    for encoding, content in files.items():
        ended = worker.wait_ended(worker.submit(content))
        assert (ended["totalCount"], ended["successCount"], ended["encoding"]) == (1, 1, encoding)
        assert ended["encodingSource"] == ("mark" if encoding == "utf-16le" else "detected")
        assert ended["encodingConfidence"] == 1
