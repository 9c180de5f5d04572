"""Signing in: with which credential, as whom, and what each role is offered."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page

from app.domain.access import Role
from tests.support.browsing import Modules, Watch, assert_accessible, expect, sign_in
from tests.support.files import CONTACTS
from tests.support.forms import REQUIRED
from tests.support.issuer import token
from tests.support.secured import Guarded
from tests.support.workers import Worker

#: What the navigation offers to operators and to admins only.
OPERATORS, ADMINS = ["New import", "Dead letters"], ["API keys", "Workers"]
OFFERED = {Role.VIEWER: [], Role.OPERATOR: OPERATORS, Role.ADMIN: [*OPERATORS, *ADMINS]}


@pytest.mark.parametrize("role", Role)
def test_roles_see_what_they_may(
    page: Page, secured_dashboard: Guarded, keys: Callable[[Role], str], role: Role
) -> None:
    """The address that was asked for is shown after signing in; a role is offered the pages that it may see."""
    page.goto(f"{secured_dashboard.worker.url}/#/dead-letters")
    sign_in(page, keys(role))
    if role is Role.VIEWER:
        expect(page.get_by_role("heading", level=1, name="You may not see this page.")).to_be_visible()
        expect(page.get_by_text("It needs the role operator.")).to_be_visible()
        assert_accessible(page)
    else:
        expect(page.get_by_role("heading", level=1, name="Dead letters")).to_be_visible()
    offered = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert [name for name in offered if name in OPERATORS + ADMINS] == OFFERED[role]
    assert {"Imports", "Search", "Records"} <= set(offered)


def submit(worker: Worker, key: str, **fields: str) -> str:
    """Submit a file all of whose rows fail; the action."""
    answer = worker.client.post(
        "/bulk-actions",
        data={**REQUIRED, **fields},
        files={"file": ("keys.csv", CONTACTS.replace(b"@", b""), "text/csv")},
        headers={"X-API-Key": key},
    )
    return str(answer.raise_for_status().json()["actionId"])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_viewers_only_watch(page: Page, secured_dashboard: Guarded, keys: Callable[[Role], str], role: Role) -> None:
    """What can be done with an import is shown to those who may do it."""
    worker = secured_dashboard.worker
    action = submit(worker, keys(Role.OPERATOR), scheduledAt="2100-01-01T00:00:00Z")
    page.goto(f"{worker.url}/#/actions/{action}")
    sign_in(page, keys(role))
    expect(page.get_by_text("scheduled").first).to_be_visible()
    shown = page.get_by_role("group", name="What can be done").get_by_role("button")
    expect(shown).to_have_text([] if role is Role.VIEWER else ["Start now", "Reschedule…", "Cancel import…"])


def test_wrong_credentials_are_refused(
    page: Page, watch: Watch, secured_dashboard: Guarded, keys: Callable[[Role], str]
) -> None:
    """What is no key or token, or none that is valid, is said at the field; a token that is valid is taken."""
    watch.allow_status(401)
    page.goto(secured_dashboard.worker.url)
    field = page.get_by_label("API key or token")
    expect(field).to_be_focused()
    for wrong, said in (
        ("\u2028k\u00e9y", "No key or token looks like this."),
        (keys(Role.VIEWER)[:-1] + "~", "This API key or token is not valid"),
        (token("another secret, long enough for HS256"), "This API key or token is not valid"),
    ):
        field.fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(field).to_have_accessible_description(re.compile(re.escape(said)))
    assert_accessible(page)
    sign_in(page, token(account="acme", role="operator"))
    expect(page.locator("header")).to_contain_text("acme operator")
    page.reload()
    expect(page.locator("header")).to_contain_text("acme operator")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
    assert page.evaluate("JSON.stringify({ ...sessionStorage, ...localStorage })") == "{}"


def test_late_refusal_ends_no_session(page: Page, watch: Watch, secured_dashboard: Guarded) -> None:
    """A refusal that comes when another credential was entered ends nothing; one of the credential in use does."""
    watch.allow_status(401)
    kept = Modules(page, secured_dashboard.worker.url).run(
        "lib/api.js",
        """async (api) => {
          const refused = async (then) => {
            sessionStorage.setItem("bulk.credential", "bulk_first");
            const response = await api.send(api.url("/whoami"));
            sessionStorage.setItem("bulk.credential", then);
            await api.errorOf(response);
            return sessionStorage.getItem("bulk.credential");
          };
          return [await refused("bulk_second"), await refused("bulk_first")];
        }""",
    )
    assert kept == ["bulk_second", None]


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press Tab until this has the focus."""
    for _ in range(60):
        page.keyboard.press(key)
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"not reached by Tab: {wanted}")


def test_keyboard_is_enough(page: Page, secured_dashboard: Guarded, keys: Callable[[Role], str]) -> None:
    """Signing in, searching and opening an import are done without a pointer."""
    worker, key = secured_dashboard.worker, keys(Role.OPERATOR)
    action = submit(worker, key)
    page.goto(worker.url)
    expect(page.get_by_label("API key or token")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    search = page.get_by_role("navigation").get_by_role("link", name="Search")
    expect(search).to_be_visible()
    tab_to(page, search, "Shift+Tab")  # the header stands before the page
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Search")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Words")).to_be_focused()
    page.keyboard.type(action)
    page.keyboard.press("Enter")
    expect(page.locator("ol > li").first).to_be_visible()
    tab_to(page, page.get_by_role("link", name=action).first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="keys.csv")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
