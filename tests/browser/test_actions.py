"""The list of actions: it is found through, page by page, and goes on by itself."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.browsing import Watch, assert_accessible, assert_fits
from tests.support.files import HEADER
from tests.support.workers import Worker

LATER = "2100-01-01T09:00:00Z"


def schedule(worker: Worker, name: str, entity: str = "Lead") -> str:
    """Make an action that waits."""
    form = {"actionType": "BULK_DELETE", "entityType": entity, "scheduledAt": LATER}
    answer = worker.client.post("/bulk-actions", data=form, files={"file": (name, b"id\n1\n")})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["actionId"])


def test_list_is_paged_and_stays_fresh(watch: Watch, dashboard: Worker) -> None:
    """Another action appears on top, and the pages that were loaded stay; filters are kept in the address."""
    for number in range(27):
        schedule(dashboard, f"lead {number}.csv")
    page = watch.open()
    page.goto(f"{dashboard.url}/#/actions?entityType=Lead")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(26)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(28)
    newest = schedule(dashboard, "<img src=x onerror=alert(1)>")
    expect(rows).to_have_count(29)
    expect(rows.nth(1)).to_contain_text("<img src=x onerror=alert(1)>")
    expect(rows.nth(1)).to_contain_text(re.compile(r"begins in [\d,]+ days"))
    expect(rows.last).to_contain_text("lead 0.csv")
    assert_accessible(page)
    assert_fits(page)

    page.get_by_label("Status").select_option("scheduled")
    expect(page).to_have_url(re.compile("status=SCHEDULED"))
    expect(rows).to_have_count(26)
    assert dashboard.client.post(f"/bulk-actions/{newest}/cancel").status_code == 200
    expect(page.get_by_role("link", name="<img src=x onerror=alert(1)>")).to_have_count(0)
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_text("There is no import of this kind.")).to_be_visible()
    assert_accessible(page)


def test_list_goes_on_by_itself(page: Page, dashboard: Worker) -> None:
    """A row of the list shows each step of its action; its link leads to the page of it, and back."""
    action_id = dashboard.submit(HEADER + b"listed1,N,listed1@example.com,active\n", scheduledAt=LATER)
    page.goto(f"{dashboard.url}/#/actions")
    row = page.get_by_role("row").nth(1)
    expect(row).to_contain_text("scheduled")
    started = dashboard.client.patch(f"/bulk-actions/{action_id}", json={"scheduledAt": None})
    assert started.status_code == 200
    expect(row).to_contain_text("completed")
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuetext", re.compile("^100%: Succeeded 1"))
    row.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("upload.csv")
    page.get_by_role("link", name="All imports").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Imports")


def test_list_that_fails_says_so(watch: Watch, dashboard: Worker) -> None:
    """What the server refuses is told in its words, and asked for again at the press of a button."""
    watch.allow_status(400)
    page = watch.open()
    page.goto(f"{dashboard.url}/#/actions?status=NONE")
    expect(page.get_by_role("alert")).to_contain_text("status")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert_accessible(page)
