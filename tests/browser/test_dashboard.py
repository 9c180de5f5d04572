"""The dashboard opens, shows what there is, and asks for a key where one is needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from app.domain.access import Role
from tests.support.browsing import Modules, Watch, assert_accessible, assert_fits, expect, sign_in
from tests.support.files import CONTACTS
from tests.support.paths import ROOT
from tests.support.secured import Guarded
from tests.support.workers import Worker

STATIC = ROOT / "web" / "dashboard" / "static"


def test_list_shows_an_import(page: Page, dashboard: Worker) -> None:
    """The list of imports shows one that is made while it is open, to its end; it is accessible, and fits a phone."""
    page.goto(f"{dashboard.url}/#/actions")
    expect(page.get_by_role("heading", level=1, name="Imports")).to_be_visible()
    action_id = dashboard.submit(CONTACTS)
    row = page.get_by_role("row").filter(has=page.locator(f"a[href$='{action_id}']"))
    expect(row.get_by_text("completed")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)


def test_language_is_chosen(page: Page, dashboard: Worker) -> None:
    """Whoever chooses a language has it at once, and at the next visit."""
    page.goto(f"{dashboard.url}/#/actions")
    page.get_by_label("Language").select_option("Deutsch")
    for _ in range(2):
        expect(page.get_by_role("heading", level=1, name="Importe")).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "de")
        page.reload()


def test_dark_is_dark(page: Page, dashboard: Worker) -> None:
    """Where the system is dark, text is light on a dark ground, and the other way round."""
    page.goto(f"{dashboard.url}/#/actions")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    shades = """() => {
      const { color, backgroundColor } = getComputedStyle(document.body);
      return [color, backgroundColor].map((shade) => Math.max(...shade.match(/[\\d.]+/g).slice(0, 3).map(Number)));
    }"""
    for scheme, dark in (("light", False), ("dark", True)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        text, ground = page.evaluate(shades)
        assert (text > ground) is dark


def test_content_is_one_key_away(page: Page, dashboard: Worker) -> None:
    """The first Tab leads to a link behind the navigation, and Enter there to the page."""
    page.goto(f"{dashboard.url}/#/actions")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("role", Role)
def test_key_lets_in(page: Page, secured_dashboard: Guarded, keys: Callable[[Role], str], role: Role) -> None:
    """A page of a worker with keys asks for one, and then says whose it is; it is accessible before and after."""
    page.goto(secured_dashboard.worker.url)
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
    assert_accessible(page)
    sign_in(page, keys(role))
    expect(page.locator("header")).to_contain_text(role)
    assert_accessible(page)


def test_modules_can_be_called(modules: Modules) -> None:
    """A module of the dashboard can be asked from a test, with the language of the browser."""
    assert modules.call("lib/format.js", "number", 1234567) == "1,234,567"
    assert modules.run("lib/router.js", "(router, id) => router.href(['actions', id], { status: '' })", "a b") == (
        "#/actions/a%20b"
    )


def test_page_that_cannot_be_fetched(page: Page, watch: Watch, dashboard: Worker) -> None:
    """What a page needs and cannot be had now is had with another try."""
    watch.allow("net::ERR_FAILED")
    page.route("**/pages/search.js", lambda route: route.abort())
    page.goto(f"{dashboard.url}/#/search")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    assert_accessible(page)
    page.unroute("**/pages/search.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1, name="Search")).to_be_visible()


def test_other_pages_need_no_server(page: Page, watch: Watch, dashboard: Worker) -> None:
    """Soon after the first page all others have what they need, so that a server that is away is no broken page."""
    watch.allow("net::ERR_INTERNET_DISCONNECTED")
    page.goto(dashboard.url)
    expect(page.get_by_role("heading", level=1, name="Import files")).to_be_visible()
    page.wait_for_function(
        """(modules) => modules.every((module) => performance.getEntriesByType("resource").some(
            (entry) => entry.name.endsWith(module) && entry.responseEnd > 0))""",
        arg=[f"/{module.relative_to(STATIC)}" for module in STATIC.rglob("*.js")],
    )
    page.context.set_offline(True)
    page.get_by_role("link", name="Search").click()
    expect(page.get_by_role("heading", level=1, name="Search")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("The server does not answer")
