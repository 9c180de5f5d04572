"""The page of the API's description."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.browsing import assert_accessible, assert_fits, expect
from tests.support.workers import Worker


def test_docs_are_accessible(page: Page, dashboard: Worker) -> None:
    """The page of the API is without a fault of accessibility, in light and in dark, folded out too."""
    page.goto(f"{dashboard.url}/docs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    # The sections are alike, and all of them take axe-core a minute.
    page.evaluate(
        """() => {
          document.querySelectorAll("section:not(#changeBulkAction, #createBulkAction, #schema-Action)")
            .forEach((each) => each.remove());
          document.querySelectorAll("details").forEach((each) => { each.open = true });
        }"""
    )
    expect(page.locator("section")).to_have_count(3)
    assert_accessible(page)


def test_docs_fit_a_phone(page: Page, dashboard: Worker) -> None:
    """On a screen of 360 px nothing of the page is out of sight."""
    page.goto(f"{dashboard.url}/docs")
    assert_fits(page)
