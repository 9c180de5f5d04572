"""The search: what is asked, what is found, and where it leads."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from tests.support.browsing import Modules, Watch, assert_accessible, assert_fits, expect
from tests.support.files import contacts_csv
from tests.support.workers import Worker

HOSTILE = "<img src=x onerror=alert(1)>"


def imported(worker: Worker, *rows: str) -> str:
    """The id of an import of these rows that has ended."""
    action = worker.submit(contacts_csv(*rows))
    worker.wait_ended(action)
    return action


def found(page: Page) -> Locator:
    return page.locator("ol > li")


def test_search_leads_to_what_it_finds(page: Page, watch: Watch, dashboard: Worker) -> None:
    """Words and refinements stand in the address, hostile text is text, and hits lead to their row and record."""
    action = imported(dashboard, f"search1,{HOSTILE},🙂 {HOSTILE},active", "search2,B,b@search.example,none")
    page.goto(f"{dashboard.url}/#/search")
    page.get_by_label("Words").fill("IMG address")
    page.get_by_text("Refine", exact=True).click()
    page.get_by_label("Id of the import").fill(action)
    page.get_by_label("Level").select_option("Error")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page).to_have_url(f"{dashboard.url}/#/search?q=IMG+address&actionId={action}&level=error")
    expect(found(page)).to_have_count(1)
    expect(found(page)).to_contain_text(f'email is not an email address: "🙂 {HOSTILE}"')
    expect(found(page).locator("mark")).to_have_text(["address", "img"])
    expect(page.get_by_role("status").filter(has_text="One event was found.")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert_accessible(page)
    found(page).get_by_role("link", name="Row 1").click()
    expect(page).to_have_url(f"{dashboard.url}/#/search?actionId={action}&row=1")
    expect(page.get_by_label("Words")).to_have_value("")
    page.go_back()
    expect(page.get_by_label("Words")).to_have_value("IMG address")
    watch.allow_status(404)  # the row has failed
    found(page).get_by_role("link", name="Contact search1").click()
    expect(page).to_have_url(f"{dashboard.url}/#/records/Contact/search1")
    expect(page.get_by_text("Nothing is known of a record with this id.")).to_be_visible()


def test_counts_refine_a_search(page: Page, dashboard: Worker) -> None:
    """A click on a count asks for these events alone, another takes that away; times are those of the user's zone."""
    action = imported(dashboard, "facet1,A,a@facet.example,none", "facet2,B,nobody,active", "facet3,C,,active")
    page.goto(f"{dashboard.url}/#/search?actionId={action}")
    counts = page.get_by_role("region", name="How many are of which kind")
    counts.get_by_role("link", name="INVALID_EMAIL 1").click()
    expect(found(page)).to_have_count(1)
    expect(found(page)).to_contain_text("nobody")
    assert_fits(page)
    page.get_by_role("link", name="Code: INVALID_EMAIL: take away").click()
    expect(found(page).nth(3)).to_be_visible()
    page.get_by_label("Before").fill("2020-01-31T10:00")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Nothing was found.")).to_be_visible()
    assert "to=2020-01-31T09%3A00%3A00.000Z" in page.url
    page.get_by_role("link", name="Without refinements").click()
    expect(page).to_have_url(f"{dashboard.url}/#/search")


def test_search_goes_on(page: Page, dashboard: Worker) -> None:
    """A page of the ledger says how far it was searched, and the next ones go on from there."""
    action = imported(dashboard, *(f"page{number},A,nobody{number},active" for number in range(60)))
    page.goto(f"{dashboard.url}/#/search?type=row.failed&actionId={action}")
    expect(found(page)).to_have_count(50)
    expect(page.get_by_role("status").filter(has_text="there may be more")).to_contain_text("One import was looked")
    page.get_by_role("button", name="Go on searching").click()
    expect(found(page)).to_have_count(60)
    expect(page.get_by_role("button", name="Go on searching")).to_have_count(0)


def test_search_finds_who_changed_a_record(page: Page, dashboard: Worker) -> None:
    """A search for the id of a record shows what imports have done to it, too."""
    imported(dashboard, "changed1,A,a@changed.example,active")
    imported(dashboard, "changed1,B,a@changed.example,active")
    page.goto(f"{dashboard.url}/#/search?recordId=changed1")
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(3)
    expect(page.get_by_role("table")).to_contain_text("created")
    assert_accessible(page)


def test_bad_search_is_said(page: Page, watch: Watch, dashboard: Worker) -> None:
    """What cannot be searched for is said in words, and can be mended."""
    watch.allow_status(400)
    page.goto(f"{dashboard.url}/#/search?row=0")
    expect(page.get_by_role("alert")).to_contain_text("row must be the number of a row, from 1")
    page.get_by_label("Row", exact=True).fill("")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_marks(modules: Modules) -> None:
    """A text is divided where a span of Unicode characters says so, and nothing of it is lost."""
    cases: list[tuple[str, list[list[int]], list[tuple[str, bool]]]] = [
        ("plain", [], [("plain", False)]),
        ("\U0001f642 ab", [[2, 4]], [("\U0001f642 ", False), ("ab", True)]),
        ("ab", [[0, 2]], [("ab", True)]),
        ("abc", [[1, 9], [0, 1]], [("a", True), ("bc", True)]),
        ("abc", [[0, 2], [1, 3]], [("ab", True), ("c", True)]),
        ("", [[0, 1]], []),
    ]
    for text, spans, parts in cases:
        found = modules.call("domain/events.js", "marked", text, spans)
        assert [(part["text"], part["found"]) for part in found] == parts, text


def test_answers_add_up(modules: Modules) -> None:
    """Counts of the ledger are of a page each and are added; those of the index are of everything already."""
    ledger = {
        "counts": {"code": {"A": 1, "B": 2}},
        "searched": {"actions": 1, "chunks": 2, "since": "2", "complete": False},
    }
    last = {"counts": {"code": {"A": 4}}, "searched": {"actions": 2, "chunks": 0, "since": "1", "complete": True}}
    pages = [{**ledger, "engine": "ledger"}, {**last, "engine": "ledger"}]
    assert modules.call("domain/events.js", "facetsOf", pages) == {"code": [["A", 5], ["B", 2]]}
    assert modules.call("domain/events.js", "searchedIn", pages) == {
        "actions": 3,
        "chunks": 2,
        "since": "1",
        "complete": True,
    }
    index = [{**page, "engine": "elasticsearch", "searched": None} for page in pages]
    assert modules.call("domain/events.js", "facetsOf", index) == {"code": [["B", 2], ["A", 1]]}
    assert modules.call("domain/events.js", "searchedIn", index) is None
