"""The page of one action: it is watched, steered and taken away, also by several people, and while its worker dies."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from stack import Stack
from tests.support.browsing import Watch, assert_accessible, assert_fits, download
from tests.support.files import HEADER
from tests.support.forms import REQUIRED
from tests.support.namespaces import namespace
from tests.support.workers import Worker

HOSTILE = "<img src=x onerror=alert(1)>"
LATER = "2100-01-01T09:00:00Z"


@pytest.fixture(scope="module")
def slow(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with small chunks that takes its time over each, so that somebody can watch."""
    environment = {
        **namespace(services, tmp_path_factory.mktemp("namespace")),
        "EVENT_STREAM_SECONDS": "900",
        "BATCH_SIZE": "500",
        "PROCESSOR_CONCURRENCY": "1",
        "FEED_WINDOW": "4",
        "BROKER_SESSION_TIMEOUT": "6",
        "STALL_TIMEOUT": "5",
    }
    worker = Worker(environment, tmp_path_factory.mktemp("slow"), {"slow_writes": {"seconds": 0.2}})
    try:
        yield worker.start()
    finally:
        worker.kill()
        worker.client.close()


def rows(prefix: str, count: int) -> bytes:
    return HEADER + b"".join(f"{prefix}{n},N,{prefix}{n}@example.com,active\n".encode() for n in range(count))


def show(page: Page, worker: Worker, action_id: str) -> None:
    page.goto(f"{worker.url}/#/actions/{action_id}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def status(page: Page) -> Locator:
    return page.locator("main [role=status] .status").first


def number(page: Page, name: str) -> Locator:
    """One of the counters."""
    return page.locator(".counters div").filter(has=page.get_by_text(name, exact=True)).locator("dd")


def test_two_tabs_watch_to_the_end(watch: Watch, slow: Worker) -> None:
    """An action is moved and started in one tab; another, in German, sees each step without being touched."""
    # Enough for some seconds: a shorter one has no plot.
    action_id = slow.submit(rows("watched", 20_000), scheduledAt=LATER)
    page, german = watch.open(), watch.open(locale="de-DE", color_scheme="dark")
    show(page, slow, action_id)
    show(german, slow, action_id)
    expect(status(german)).to_have_text("geplant")

    press(page, "Reschedule…")
    tomorrow = datetime.now(UTC).replace(hour=11, minute=30, second=0, microsecond=0) + timedelta(days=1)
    field = page.get_by_label("Begin at")
    field.fill("2001-01-01T00:00")
    expect(page.get_by_text("This moment is past.")).to_be_visible()
    expect(page.get_by_role("button", name="Reschedule", exact=True)).to_be_disabled()
    field.fill(tomorrow.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%dT%H:%M"))
    expect(page.get_by_text("Europe/Berlin. That is")).to_contain_text("11:30 UTC")
    assert_accessible(page)
    page.get_by_role("button", name="Reschedule", exact=True).click()
    expect(page.get_by_text("The import has another time.")).to_be_visible()
    assert slow.action(action_id)["scheduledAt"] == tomorrow.isoformat().replace("+00:00", ".000Z")
    expect(german.get_by_text("Er beginnt")).to_contain_text("11:30 UTC")

    press(page, "Start now")
    for tab, running in ((page, "processing"), (german, "läuft")):
        expect(status(tab)).to_have_text(running)
    for tab in (page, german):
        expect(tab.locator(".summary")).to_contain_text(re.compile(r"Zeilen pro Sekunde|rows per second"))
    for tab, ended in ((page, "completed"), (german, "abgeschlossen")):
        expect(status(tab)).to_have_text(ended, timeout=60_000)
    expect(number(page, "Created")).to_have_text("20,000")
    expect(number(german, "Angelegt")).to_have_text("20.000")
    expect(page.get_by_text("All rows are done, and none has failed.")).to_be_visible()
    expect(page.get_by_role("region", name="History").get_by_role("row")).to_have_count(6)
    expect(german.get_by_role("img", name="Zeilen pro Sekunde")).to_be_visible()
    assert_accessible(page)
    assert_fits(german)


def test_failures_are_shown_and_taken(page: Page, slow: Worker, tmp_path: Path) -> None:
    """What is wrong is told by its cause, in text whatever it is, and the rows that failed come as a file."""
    file = rows("mixed", 3) + f"bad1,N,{HOSTILE},active\nbad2,N,{HOSTILE},active\nbad3,N,b@example.com,=1+1\n".encode()
    form = {"file": (f"{HOSTILE}.csv", file + b"mixed0,Again,again@example.com,active\n")}
    made = slow.client.post("/bulk-actions", data=REQUIRED, files=form).json()
    slow.wait_ended(made["actionId"])
    show(page, slow, made["actionId"])
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{HOSTILE}.csv")
    for name, count in {"Created": 3, "Failed": 3, "Duplicates": 1}.items():
        expect(number(page, name)).to_have_text(str(count))
    causes = page.get_by_role("region", name="What went wrong")
    first = causes.get_by_role("row").nth(1)
    expect(first).to_contain_text("INVALID_EMAIL")
    expect(first.locator("code")).to_have_text(HOSTILE)
    expect(first).to_contain_text("4, 5")
    expect(causes.get_by_role("row").nth(2)).to_contain_text("=1+1")

    taken = download(page, "Failed rows (CSV)", tmp_path)
    assert taken.name == f"{made['actionId']}-results-failed.csv"
    lines = list(csv.DictReader(io.StringIO(taken.read_text(encoding="utf-8"))))
    assert [(line["id"], line["_row"], line["_code"]) for line in lines] == [
        ("bad1", "4", "INVALID_EMAIL"),
        ("bad2", "5", "INVALID_EMAIL"),
        ("bad3", "6", "INVALID_STATUS"),
    ]
    assert (lines[0]["email"], lines[2]["status"]) == (HOSTILE, "'=1+1")
    assert len(download(page, "All rows (NDJSON)", tmp_path).read_bytes().splitlines()) == 7

    press(page, "Show the rows that failed")
    expect(page.get_by_role("heading", name="Rows", exact=True)).to_be_focused()
    table = page.get_by_role("region", name="Rows")
    expect(table.get_by_role("row")).to_have_count(4)
    page.get_by_label("Which rows").select_option("SKIPPED")
    expect(table.get_by_role("row").nth(1)).to_contain_text("Row 1 of this file has the same record.")
    assert_accessible(page)
    assert_fits(page)


def test_action_is_steered(watch: Watch, slow: Worker) -> None:
    """It is paused, goes on, and is cancelled with a reason; what comes too late is refused in words."""
    action_id = slow.submit(rows("steered", 20_000))
    page = watch.open()
    show(page, slow, action_id)
    press(page, "Pause")
    expect(status(page)).to_have_text("paused")
    expect(page.get_by_text("It is paused: no further row is begun")).to_be_visible()
    expect(page.get_by_role("group", name="What can be done")).to_be_focused()
    assert_accessible(page)
    press(page, "Resume")
    expect(status(page)).to_have_text("processing")
    # What stands still is there for as long as the rest takes.
    press(page, "Pause")
    expect(status(page)).to_have_text("paused")

    press(page, "Cancel import…")
    dialog = page.get_by_role("dialog")
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Cancel import…")).to_be_focused()
    assert slow.action(action_id)["status"] == "PAUSED"
    press(page, "Cancel import…")
    dialog.get_by_label("Reason (optional)").fill(HOSTILE)
    dialog.get_by_role("button", name="Cancel the import").click()
    expect(status(page)).to_have_text("cancelled")
    expect(page.get_by_role("region", name="History").get_by_role("row").last).to_contain_text(HOSTILE)
    expect(number(page, "Not processed")).not_to_have_text("0")

    other = slow.submit(rows("late", 1), scheduledAt=LATER)
    show(page, slow, other)
    press(page, "Cancel import…")
    assert slow.client.post(f"/bulk-actions/{other}/cancel").status_code == 200
    watch.allow_status(409)
    dialog.get_by_role("button", name="Cancel the import").click()
    expect(dialog.get_by_role("alert")).to_contain_text("That is not possible any more: the import is cancelled.")


def test_failed_rows_are_retried(page: Page, slow: Worker) -> None:
    """The retry is another action, to which the page goes; the two name each other."""
    patch = {"actionType": "BULK_PATCH"}
    action_id = slow.submit(b"id,status\nretried1,archived\n", **patch)
    slow.wait_ended(action_id)
    slow.wait_ended(slow.submit(HEADER + b"retried1,N,retried1@example.com,active\n"))
    show(page, slow, action_id)
    press(page, "Retry the rows that failed")
    expect(page).not_to_have_url(re.compile(action_id))
    expect(status(page)).to_have_text("completed")
    expect(number(page, "Updated")).to_have_text("1")
    page.get_by_role("link", name="This is a retry").click()
    expect(page).to_have_url(re.compile(action_id))
    expect(page.get_by_role("link", name="The rows that failed were retried")).to_be_visible()


def test_deleted_action_is_gone(watch: Watch, slow: Worker) -> None:
    """It is deleted when that was confirmed twice; whoever watches it is told."""
    action_id = slow.submit(rows("gone", 1))
    slow.wait_ended(action_id)
    page, other = watch.open(), watch.open()
    show(page, slow, action_id)
    show(other, slow, action_id)
    press(page, "Delete…")
    delete = page.get_by_role("button", name="Delete for good")
    expect(delete).to_be_disabled()
    page.get_by_label("I know that this cannot be undone.").check()
    assert_accessible(page)
    delete.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Imports")
    expect(page.get_by_text("upload.csv is deleted.")).to_be_visible()
    watch.allow_status(404)
    # As if somebody came back to the tab, instead of waiting for it to look by itself.
    other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(other.get_by_role("heading", level=1)).to_have_text("This import has been deleted")
    other.goto(f"{slow.url}/#/actions/{'0' * 24}")
    expect(other.get_by_role("heading", level=1)).to_have_text("There is no such import")
    assert_accessible(other)


def test_killed_worker_is_a_notice(watch: Watch, slow: Worker) -> None:
    """A worker that dies while somebody watches is a notice until it is back; then all is told, and exact."""
    action_id = slow.submit(rows("killed", 12_000), scheduledAt=LATER)
    watch.allow_outage()
    page = watch.open()
    show(page, slow, action_id)
    press(page, "Start now")
    expect(status(page)).to_have_text("processing")
    slow.kill()
    notice = page.get_by_text("The server does not answer at the moment.")
    expect(notice).to_be_visible()
    assert_accessible(page)
    followed: list[int] = []
    page.on("response", lambda answer: followed.append(answer.status) if answer.url.endswith("/events") else None)
    slow.start()
    expect(notice).to_have_count(0)
    expect(status(page)).to_have_text("completed", timeout=90_000)
    expect(number(page, "Created")).to_have_text("12,000")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    assert 200 in followed, "its events are not followed again"
    action = slow.action(action_id)
    assert (action["createdCount"], action["failureCount"], action["skippedCount"]) == (12_000, 0, 0)
