"""API keys: made, used and revoked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from app.domain.access import Role
from tests.support.browsing import Watch, assert_accessible, assert_fits, expect, sign_in
from tests.support.secured import Guarded
from tests.support.workers import Worker

HOSTILE = "<img src=x onerror=alert(1)>"


def test_key_is_made_used_and_revoked(
    page: Page, watch: Watch, secured_dashboard: Guarded, keys: Callable[[Role], str]
) -> None:
    """A key that an admin makes lets its holder in, until it is revoked: that leads back to the sign-in, and on."""
    url = secured_dashboard.worker.url
    page.goto(f"{url}/#/keys")
    sign_in(page, keys(Role.ADMIN))
    page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(HOSTILE)
    dialog.get_by_label("Expires").select_option("on a day")
    dialog.get_by_label("Last day").fill("2099-12-31")
    assert_accessible(page)
    dialog.get_by_role("button", name="Make a key").click()
    made = page.get_by_role("dialog", name=f"The key {HOSTILE}")
    key = made.get_by_label("API key").input_value()
    assert key.startswith("bulk_")
    assert_accessible(page)
    made.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Make a key")).to_be_focused()
    row = page.get_by_role("row").filter(has_text=HOSTILE)
    expect(row).to_contain_text("1 Jan 2100, 00:00:00")
    expect(page.get_by_text(key)).to_have_count(0)
    assert_accessible(page)

    holder = watch.open()
    holder.goto(f"{url}/#/search")
    sign_in(holder, key)
    expect(holder.get_by_text("0 events were found.")).to_be_visible()

    page.get_by_role("button", name=f"Revoke the key {HOSTILE}").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    expect(row.get_by_role("button")).to_have_count(0)
    assert_fits(page)

    watch.allow_status(401)
    holder.get_by_role("button", name="Search", exact=True).click()
    expect(holder.get_by_role("alert")).to_contain_text("Your key or token is not taken any more.")
    assert_accessible(holder)
    sign_in(holder, keys(Role.VIEWER))
    expect(holder.get_by_role("heading", level=1, name="Search")).to_be_visible()


def test_own_key_is_revoked(page: Page, watch: Watch, secured_dashboard: Guarded, keys: Callable[[Role], str]) -> None:
    """Whoever revokes the key in use is warned, and signed out by it."""
    page.goto(f"{secured_dashboard.worker.url}/#/keys")
    sign_in(page, keys(Role.ADMIN))
    row = page.get_by_role("row").filter(has_text="the key that you use")
    row.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("you will be signed out")
    watch.allow_status(401)
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()


def test_open_api_makes_no_keys(page: Page, dashboard: Worker) -> None:
    """Where nobody is asked for a key, the page says why none can be made."""
    page.goto(f"{dashboard.url}/#/keys")
    expect(page.get_by_text("nobody has proved to be an admin")).to_be_visible()
    expect(page.get_by_text("There is no key yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Make a key")).to_have_count(0)
