"""Dead letters: found, read, and replayed."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from app.domain.access import Role
from tests.support.browsing import Watch, assert_accessible, assert_fits, expect, sign_in
from tests.support.letters import put_letter
from tests.support.secured import Guarded
from tests.support.workers import Worker


def test_replay_is_watched(page: Page, dashboard: Worker) -> None:
    """A letter is found by its status, shown with its payload as text, and replayed until it is done."""
    payload = b"<img src=x onerror=alert(1)>" + b"\xe2\x82\xac" * 5000
    letter = put_letter(dashboard.environment, kind="POISON", payload=payload, error="<b>unreadable</b>")
    page.goto(f"{dashboard.url}/#/dead-letters")
    page.get_by_label("Status").select_option("not done")
    row = page.get_by_role("row").filter(has_text=letter)
    expect(row).to_contain_text("<b>unreadable</b>")
    assert_accessible(page)
    row.get_by_role("link").click()
    shown = page.get_by_role("region", name="The message")
    expect(shown).to_contain_text("<img src=x onerror=alert(1)>")
    assert len(shown.inner_text()) < 5000
    page.get_by_role("button", name="Show all 5,028 characters").click()
    expect(shown).to_have_text(payload.decode())
    assert_fits(page)
    page.get_by_role("button", name="Replay").click()
    dialog = page.get_by_role("dialog", name="Replay")
    expect(dialog).to_contain_text("may be done twice")
    assert_accessible(page)
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("row", name="Status")).to_contain_text("done")
    expect(page.get_by_role("row", name="Replayed")).to_contain_text("nobody in particular")
    expect(page.get_by_role("button", name="Replay")).to_have_count(0)


def test_impossible_replay_is_explained(page: Page, watch: Watch, dashboard: Worker) -> None:
    """Why a letter cannot be replayed is said in words, where it was asked for."""
    watch.allow_status(409)
    action = "abcdef" * 4
    letter = put_letter(dashboard.environment, actionId=action, firstRow=2001, rowCount=1000, index=1)
    page.goto(f"{dashboard.url}/#/dead-letters?actionId={action}")
    expect(page.get_by_role("row").filter(has_text=letter)).to_contain_text("2,001\u20133,000")
    page.get_by_role("link", name="Rows of an import").click()
    page.get_by_role("button", name="Replay").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_role("alert")).to_contain_text("has failed or is gone")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Replay")).to_be_focused()
    watch.allow_status(404)
    page.goto(f"{dashboard.url}/#/dead-letters/never-was")
    expect(page.get_by_role("heading", name="There is no such dead letter.")).to_be_visible()


def test_operator_may_not_replay(page: Page, secured_dashboard: Guarded, keys: Callable[[Role], str]) -> None:
    """An operator reads dead letters, and is not offered to replay them."""
    account = "operator-may-not-replay"
    letter = put_letter(secured_dashboard.environment, accountId=account, payload=b"\xff\xfe")
    page.goto(f"{secured_dashboard.worker.url}/#/dead-letters/{letter}")
    sign_in(page, keys(Role.OPERATOR))
    expect(page.get_by_role("heading", name="it is no text; in base64")).to_be_visible()
    expect(page.get_by_role("region", name="The message")).to_have_text("//4=")
    expect(page.get_by_role("button", name="Replay")).to_have_count(0)
