"""Records: as they are, and what imports have done to them."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.browsing import Watch, assert_accessible, assert_fits, expect
from tests.support.files import contacts_csv
from tests.support.workers import Worker

#: An id with everything that means something in an address.
ODD = "rec/ord%2F..?#&+\u00e4"


def test_record_and_history(page: Page, dashboard: Worker) -> None:
    """A record is found by its id, whatever characters that has, with the imports that have written it."""
    for name in ("<img src=x onerror=alert(1)>", "After"):
        first = dashboard.submit(contacts_csv(f"{ODD},{name},odd@record.example,active"))
        dashboard.wait_ended(first)
    page.goto(f"{dashboard.url}/#/records")
    page.get_by_label("Id of the record").fill(ODD)
    page.get_by_role("button", name="Show the record").click()
    expect(page.get_by_role("heading", level=1, name=f"Contact {ODD}")).to_be_visible()
    expect(page.get_by_role("row", name="name After")).to_be_visible()
    history = page.get_by_role("table").last
    expect(history.get_by_role("row")).to_have_count(3)
    expect(history).to_contain_text("created")
    expect(history.locator(f"a[href='#/actions/{first}']")).to_have_text("upload.csv")
    expect(page.get_by_role("row", name="Last written by the import")).to_contain_text(first)
    expect(page.locator("main")).to_be_focused()
    assert_accessible(page)
    assert_fits(page)
    page.reload()
    expect(page.get_by_role("row", name="name After")).to_be_visible()


def test_numbers_have_all_digits(page: Page, dashboard: Worker) -> None:
    """An amount is shown with the digits that a number of JavaScript does not have."""
    columns = "id,name,website,phone,industry,country,employees,revenue,currency,foundedOn,customer"
    file = f"{columns}\nexact1,A,,,,,,99999999999999.1234,EUR,,\n".encode()
    dashboard.wait_ended(dashboard.submit(file, entityType="Company"))
    page.goto(f"{dashboard.url}/#/records/Company/exact1")
    expect(page.get_by_role("row", name="revenue 99999999999999.1234")).to_be_visible()


def test_record_that_is_gone(page: Page, watch: Watch, dashboard: Worker) -> None:
    """A deleted record has its history; of one that never was, and of one that cannot be asked for, words are shown."""
    dashboard.wait_ended(dashboard.submit(contacts_csv("gone1,A,a@gone.example,active")))
    dashboard.wait_ended(dashboard.submit(b"id\ngone1\n", actionType="BULK_DELETE"))
    page.goto(f"{dashboard.url}/#/records/Contact/gone1")
    expect(page.get_by_text("does not exist any more")).to_be_visible()
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(3)
    watch.allow_status(404)
    page.goto(f"{dashboard.url}/#/records/Contact/never-was")
    expect(page.get_by_text("Nothing is known of a record with this id.")).to_be_visible()
    assert_accessible(page)
    page.goto(f"{dashboard.url}/#/records/Contact/..")
    expect(page.get_by_text("Browsers cannot ask for a record with the id ..")).to_be_visible()
    page.get_by_role("link", name="Search for this id").click()
    expect(page).to_have_url(f"{dashboard.url}/#/search?recordId=..")
