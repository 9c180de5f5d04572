"""The workers, as the page shows them."""

from __future__ import annotations

from playwright.sync_api import Page, Route

from tests.support.browsing import Watch, assert_accessible, assert_fits, expect
from tests.support.workers import Worker


def test_workers_are_shown(page: Page, dashboard: Worker) -> None:
    """Each worker is shown with its state and what it depends on, and asked for again while the page is seen."""
    page.goto(f"{dashboard.url}/#/workers")
    worker = page.get_by_role("article").filter(has_text="answers you")
    expect(worker.get_by_role("heading")).to_contain_text(f":{dashboard.port}")
    expect(worker.get_by_text("ready", exact=True)).to_be_visible()
    expect(worker.get_by_role("row", name="mongodb")).to_contain_text("up")
    expect(page.get_by_role("status").filter(has_text="ready: 1")).to_have_count(1)
    assert_accessible(page)
    assert_fits(page)
    with page.expect_response("**/workers"):
        pass


def test_other_accounts_see_one_worker(page: Page, watch: Watch, dashboard: Worker) -> None:
    """Another account is shown the worker that answers, by what that says of itself, as soon as it is chosen."""
    page.goto(f"{dashboard.url}/#/workers")
    expect(page.get_by_role("article")).to_be_visible()
    watch.allow_status(403)
    page.get_by_role("button", name="Other account").click()
    page.get_by_role("dialog").get_by_label("Account").fill("acme")
    page.get_by_role("button", name="Show this account").click()
    expect(page.get_by_role("heading", name="The worker that answers")).to_be_visible()
    expect(page.get_by_role("row", name="kafka")).to_contain_text("up")
    expect(page.locator("header")).to_contain_text("acme")
    assert_accessible(page)


def test_lost_worker_is_shown(page: Page, dashboard: Worker) -> None:
    """What is wrong with a worker is said in words; the list is shown although it may not be whole."""
    away = {
        "name": "redis",
        "required": True,
        "ok": False,
        "since": "2026-11-25T10:00:00.000Z",
        "latencyMs": 1.7,
        "lastError": "Redis could not be used: ConnectionError.",
        "lastErrorAt": "2026-11-25T10:00:07.000Z",
    }

    def answer(route: Route) -> None:
        [own] = (known := route.fetch().json())["workers"]
        sick = {**own, "workerId": "sick", "self": False, "state": "NOT_READY", "dependencies": [away]}
        lost = {**own, "workerId": "lost", "self": False, "state": "LOST", "seenAt": own["startedAt"]}
        route.fulfill(json={**known, "workers": [own, sick, lost], "complete": False})

    page.route("**/workers", answer)
    page.goto(f"{dashboard.url}/#/workers")
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("row", name="redis").filter(has_text="down")).to_contain_text("ConnectionError")
    expect(page.get_by_role("article").last).to_contain_text("lost")
    expect(page.get_by_text("workers may be missing")).to_be_visible()
    assert_accessible(page)
