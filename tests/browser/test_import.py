"""Files are imported on the page: what is in them is found out, and what will happen is said before."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browsing import NARROW, Watch, assert_accessible, assert_fits, download, upload
from tests.support.waiting import wait_for
from tests.support.workers import Worker

Start = Callable[..., Page]

HOSTILE = "<img src=x onerror=alert(1)>"
CONTACTS = "id,name,email,status\n"
#: Enough that a slow line takes a while.
LARGE = CONTACTS.encode() + b"".join(b"%d,Ada,a%d@import.example,active\n" % (i, i) for i in range(20_000))


def rows(prefix: str, *numbers: int) -> bytes:
    """A file of contacts with these ids."""
    return (CONTACTS + "".join(f"{prefix}-{i},Ada,{prefix}{i}@import.example,active\n" for i in numbers)).encode()


@pytest.fixture
def server(dashboard: Worker, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """The API, asked by an account of this test's own: what that may upload in a minute, nobody else does."""
    with httpx.Client(base_url=dashboard.url, headers={"accountid": request.node.name}, timeout=60) as client:
        yield client


@pytest.fixture
def start(server: httpx.Client, watch: Watch) -> Start:
    """Opens the page for the account; ``options`` as of :meth:`Watch.open`."""

    def start(**options: Any) -> Page:
        page = watch.open(**options)
        page.add_init_script(f"sessionStorage.setItem('bulk.account', {json.dumps(server.headers['accountid'])})")
        page.goto(str(server.base_url))
        return page

    return start


def actions(server: httpx.Client) -> list[dict[str, Any]]:
    """The actions of the account, the newest first."""
    return list(server.get("/bulk-actions").raise_for_status().json())


def action(server: httpx.Client, page: Page) -> dict[str, Any]:
    """The action to which the page has come."""
    page.wait_for_url(re.compile(r"#/actions/[0-9a-f]{24}$"))
    return dict(server.get(f"/bulk-actions/{page.url.rpartition('/')[2]}").raise_for_status().json())


def finished(server: httpx.Client, page: Page) -> dict[str, Any]:
    """The same, once it is complete."""
    return wait_for(
        lambda: found if (found := action(server, page))["status"] == "COMPLETED" else None, "the action is complete"
    )


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def field_of(page: Page, column: str) -> Any:
    return page.get_by_label(f"Field for the column {column}", exact=True)


def test_file_is_imported_as_told(start: Start, server: httpx.Client) -> None:
    """A file of another program, in another encoding and with hostile texts, arrives as the page has said.

    Its columns are matched, corrected and left out; what looks wrong is marked; its umlauts are those of the file.
    """
    page = start()
    assert_accessible(page)
    first, second = f'7;Jürgen "x" Groß;j@import.example;active;{HOSTILE}', '8;Bo;nobody;aktiv;"a\nb"'
    table = f"Nr;Kunde;E-Mail-Adresse;Zustand;Notiz\n{first}\n{second}\n"
    upload(page, (f"{HOSTILE}.csv", table.encode("cp1252")))
    expect(page.get_by_role("heading", name=f"{HOSTILE}.csv")).to_be_focused()
    expect(page.get_by_label("Encoding")).to_have_value("windows-1252")
    expect(page.get_by_label("Between the columns is")).to_have_value(";")
    for column, field in (("Nr", "id"), ("Kunde", "name"), ("E-Mail-Adresse", "email"), ("Notiz", "")):
        expect(field_of(page, column)).to_have_value(field)
    preview = page.get_by_role("region", name="The first rows")
    expect(preview.get_by_role("cell", name="nobody is not an email address")).to_be_visible()
    expect(preview.get_by_role("cell", name="aktiv is none of: active, inactive")).to_be_visible()
    expect(preview.get_by_text(HOSTILE)).to_be_visible()
    summary = page.get_by_role("form", name="What will happen")
    expect(summary).to_contain_text(f"2 rows of {HOSTILE}.csv will be created or replaced as Contacts.")
    expect(summary).to_contain_text("The column Notiz is left out.")
    expect(summary).to_contain_text("Of the first 2 rows, 1 looks wrong and would fail.")
    assert_accessible(page)
    assert_fits(page, NARROW)
    # What is not corrected stands in the way.
    field_of(page, "Zustand").select_option("")
    expect(summary).to_contain_text("There is no column for the field status.")
    expect(page.get_by_role("button", name="Import now")).to_be_disabled()
    field_of(page, "Zustand").select_option("status")
    press(page, "Import now")
    final = finished(server, page)
    assert (final["status"], final["successCount"], final["failureCount"]) == ("COMPLETED", 1, 1)
    assert (final["fileName"], final["encoding"]) == (f"{HOSTILE}.csv", "utf-8")
    record = server.get("/records/Contact/7").json()
    assert record["record"]["name"] == 'Jürgen "x" Groß'
    expect(page.locator("img")).to_have_count(0)
    page.goto(f"{server.base_url}#/actions")
    expect(page.get_by_role("link", name=f"{HOSTILE}.csv")).to_be_visible()
    expect(page.locator("img")).to_have_count(0)


def test_settings_are_sent(start: Start, server: httpx.Client) -> None:
    """A file that is dropped is scheduled, with a limit on failures and an action type that does without columns."""
    page = start()
    dropped = page.evaluate_handle(
        """(text) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], "firmen.csv"));
          return transfer;
        }""",
        "Firmennummer,Firma,Telefon\nS-1,Ada GmbH,+49 30 123456\n",
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.get_by_label("Its rows are")).to_have_value("Company")
    expect(page.get_by_text("“Create or replace” sets every field")).to_be_visible()
    press(page, "Choose “Change some fields”")
    page.get_by_label("An empty cell", exact=True).select_option("clear")
    page.get_by_label("At a set time").check()
    page.get_by_label("Date and time").fill("2020-01-01T10:00")
    expect(page.get_by_label("Date and time")).to_have_accessible_description(re.compile("This moment is past"))
    page.get_by_label("Date and time").fill("9999-01-01T10:00")
    expect(page.get_by_label("Date and time")).to_have_accessible_description(re.compile("At most 36,500 days ahead"))
    moment = (datetime.now(ZoneInfo("Europe/Berlin")) + timedelta(days=40)).replace(hour=9, minute=5)
    in_utc = moment.astimezone(UTC)
    page.get_by_label("Date and time").fill(f"{moment:%Y-%m-%dT%H:%M}")
    expect(page.get_by_label("Date and time")).to_have_accessible_description(
        re.compile(f"Europe/Berlin.*{in_utc:%H:%M} UTC")
    )
    page.get_by_label("Stop when rows fail").select_option("percent")
    page.get_by_label("Rows that may fail, in percent").fill("100")
    expect(page.get_by_role("form").get_by_text("percentage below 100")).to_be_visible()
    page.get_by_label("Rows that may fail, in percent").fill("2.5")
    assert_accessible(page)
    press(page, "Schedule the import")
    made = action(server, page)
    assert made["status"] == "SCHEDULED"
    assert made["scheduledAt"].startswith(f"{in_utc:%Y-%m-%dT%H:%M}")
    assert (made["actionType"], made["entityType"], made["maxFailures"]) == ("BULK_PATCH", "Company", "2.5%")
    assert made["emptyCells"] == "clear"
    server.post(f"/bulk-actions/{made['actionId']}/cancel").raise_for_status()


def test_upload_is_cancelled(start: Start, server: httpx.Client, watch: Watch) -> None:
    """An upload shows how far it is and can be cancelled; what was chosen is kept, and can be sent then."""
    page = start()
    upload(page, ("large.csv", LARGE))
    expect(page.get_by_text("About ", exact=False).first).to_be_visible()
    line = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 30_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Stop when rows fail").select_option("number")
    page.get_by_label("Rows that may fail", exact=True).fill("7")
    press(page, "Import now")
    progress = page.get_by_role("progressbar", name="Progress of large.csv")
    expect(progress).to_be_visible()
    assert_accessible(page)
    with page.expect_event("requestfailed", lambda request: request.method == "POST"):
        press(page, "Cancel the upload")
    expect(page.get_by_label("Rows that may fail", exact=True)).to_have_value("7")
    assert actions(server) == []
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    press(page, "Import now")
    made = action(server, page)
    assert [each["actionId"] for each in actions(server)] == [made["actionId"]]
    assert (made["totalCount"], made["maxFailures"]) == (20_000, "7")


def test_lost_answer_imports_once(start: Start, server: httpx.Client, watch: Watch) -> None:
    """Where the connection broke before the answer, to try again finds what has arrived."""
    watch.allow_outage()
    page = start()
    upload(page, ("lost.csv", rows("lost", 1, 2)))

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        route.fetch()
        route.abort("connectionreset")

    page.route("**/bulk-actions", lose)
    press(page, "Import now")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    assert len(actions(server)) == 1
    page.unroute("**/bulk-actions")
    press(page, "Try again")
    made = action(server, page)
    assert [each["actionId"] for each in actions(server)] == [made["actionId"]]


def test_files_go_one_after_the_other(start: Start, server: httpx.Client) -> None:
    """Several files are sent in turn, those with the same columns in one go."""
    page = start()
    first, second = rows("first", 1), rows("second", 1, 2, 3)
    upload(page, ("first.csv", first), ("second.csv.gz", gzip.compress(second)), ("other.csv", b"Nr,Name\n1,x\n"))
    expect(page.get_by_text("3 files")).to_be_visible()
    assert_accessible(page)
    expect(page.get_by_label("Do the same with 1 other file")).to_be_checked()
    press(page, "Import now")
    expect(page.get_by_role("link", name="first.csv")).to_be_visible()
    expect(page.get_by_role("link", name="second.csv.gz")).to_be_visible()
    expect(page.get_by_role("heading", name="other.csv")).to_be_visible()
    assert [(each["fileName"], each["totalCount"]) for each in actions(server)] == [
        ("second.csv.gz", 3),
        ("first.csv", 1),
    ]


def test_limit_of_uploads_is_waited_for(start: Start, server: httpx.Client, watch: Watch) -> None:
    """Whoever has sent too many files sees when the next attempt is, and need do nothing; deletions are asked twice."""
    watch.allow_status(429)
    page = start()
    upload(page, ("gone.csv", b"Nr,Name\n1,x\n"))
    page.get_by_label("Delete", exact=True).check()
    refusal = {"error": "Too Many Requests", "message": "The account may send 5 uploads.", "code": "RATE_LIMITED"}

    # A minute of the server's is too long here.
    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=429, headers={"Retry-After": "5"}, json=refusal)
        else:
            route.continue_()

    page.route("**/bulk-actions", refuse)
    press(page, "Import now")
    dialog = page.get_by_role("dialog", name="Delete Companies?")
    expect(dialog).to_contain_text("1 row name")
    assert_accessible(page)
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("timer")).to_contain_text(re.compile(r"Next attempt in 0:0\d"))
    expect(page.get_by_text("The account may send 5 uploads.")).to_be_visible()
    assert_accessible(page)
    press(page, "Cancel the upload")
    expect(page.get_by_label("Delete", exact=True)).to_be_checked()
    press(page, "Import now")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("timer")).to_be_visible()
    assert actions(server) == []
    page.unroute("**/bulk-actions")
    made = finished(server, page)
    assert (made["actionType"], made["failureCount"]) == ("BULK_DELETE", 1)


def test_server_has_its_say(start: Start, server: httpx.Client, watch: Watch) -> None:
    """What the server refuses is told in its words; what was chosen is kept, and can be corrected."""
    watch.allow_status(400)
    page = start()
    upload(page, ("latin.csv", (CONTACTS + "L-1,Jürgen,l1@import.example,active\n").encode("cp1252")))
    page.get_by_label("Encoding").select_option("utf-8")
    expect(page.get_by_role("form")).to_contain_text("has characters that cannot be read")
    press(page, "Import now")
    expect(page.get_by_role("alert")).to_contain_text("The file is not UTF-8: 1 of its first 1 rows are not")
    expect(page.get_by_label("Encoding")).to_have_value("utf-8")
    page.get_by_label("Encoding").select_option("iso-8859-15")
    press(page, "Import now")
    assert finished(server, page)["successCount"] == 1


REFUSED = {
    "empty.csv": (b"", "The file is empty."),
    "blank.csv": (b"\n\n,,\n", "The file is empty."),
    "book.csv": (b"PK\x03\x04rest", "This looks like an Excel workbook."),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "The file is not text"),
    "broken.csv.gz": (b"\x1f\x8bnothing", "packed with gzip, and damaged"),
    "header.csv": (CONTACTS.encode(), "The file has a header and no rows."),
    "wide.csv": (",".join(f"c{i}" for i in range(1000)).encode() + b"\n1\n", "1,000 columns, and may have 500"),
    "twice.csv": (b"id,name,email,Email,status\n1,a,a@b.co,a@b.co,active\n", "more than one column email"),
    "huge.csv": (LARGE, "larger than this server takes (500 kB)"),
    "russian.csv": (("id,name\n" + "1,Сергей Смирнов\n" * 20).encode("cp1251"), "Please say in which encoding"),
}
TAKEN = {
    "mac.csv": (b"id,name,email,status\rC-1,a,c1@import.example,active\r", "1 row of"),
    "unicode.txt": (
        "\ufeffid\tname\temail\tstatus\nU-1,Ö,u@b.co,active".replace(",", "\t").encode("utf-16-le"),
        "1 row of",
    ),
    "long.csv": (
        CONTACTS.encode() + b'L-2,"' + b"x" * 100_000 + b'\n",l@b.co,active\n',
        "has more than 256 characters",
    ),
    "back.csv": (
        b"id,name,email,status,_row,_status,_code,_column,_message,_recordId\n1,'=A,a@b.co,active,1,,,,,\n",
        "file with results",
    ),
    "open.csv": (CONTACTS.encode() + b'1,"a,b\n', "A quote is opened in the row, and not closed"),
    "short.csv": (CONTACTS.encode() + b"1,a\n", "The row has 2 cells, the header has 4"),
}


def test_odd_files_are_judged(start: Start) -> None:
    """What is no table, or none that fits, is said at once; odd tables are read."""
    page = start()

    def say_less(route: Route) -> None:
        answer = route.fetch()
        who = answer.json()
        route.fulfill(response=answer, json={**who, "limits": {**who["limits"], "maxUploadBytes": 500_000}})

    page.route("**/whoami", say_less)
    page.reload()
    for name, (content, told) in {**REFUSED, **TAKEN}.items():
        upload(page, (name, content))
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.locator(".entry")).to_contain_text(told)
        if name in ("empty.csv", "wide.csv"):
            assert_accessible(page)
        assert_fits(page, NARROW)
        press(page, "Choose another file")
        expect(page.get_by_role("heading", name=name)).to_have_count(0)


def test_page_speaks_german(start: Start, tmp_path: Path) -> None:
    """Whoever reads German is told in German what will happen, and how to begin without a file."""
    page = start(locale="de-DE")
    page.get_by_label("Noch keine Datei?").select_option("Task")
    template = download(page, "Task.csv herunterladen", tmp_path)
    assert template.read_text(encoding="utf-8").startswith("id,subject,status")
    upload(page, ("kunden.csv", rows("de", 1, 2) + b"de-3,Bo,,active\n"))
    summary = page.get_by_role("form", name="Was geschehen wird")
    expect(summary).to_contain_text("3 Zeilen aus kunden.csv werden als Kontakte angelegt oder ersetzt.")
    expect(summary).to_contain_text("Zeile 3, email: ist leer und erforderlich")
    page.get_by_label("Zu einer festen Zeit").check()
    expect(page.get_by_role("button", name="Import planen")).to_be_disabled()
    assert_accessible(page)
