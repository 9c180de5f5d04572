"""The browser of the tests tells of everything that goes wrong in a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from tests.support.browsing import Chromium, Watch, axe

ADDRESS = "http://127.0.0.1:9/"


@pytest.fixture
def careless(chromium: Chromium) -> Iterator[Watch]:
    """A watch that no test is failed by."""
    with chromium.in_use() as browser:
        watch = Watch(browser)
        yield watch
        watch.close()


def show(watch: Watch, body: str, policy: str = "default-src 'unsafe-inline'") -> Page:
    """Open this page, with the headers of a worker and without one."""

    def answer(route: Route) -> None:
        if route.request.url == ADDRESS:
            headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
            route.fulfill(headers=headers, body=f"<!doctype html><title>t</title>{body}")
        else:
            route.fulfill(status=404)

    page = watch.open()
    page.route("http://127.0.0.1:9/**", answer)
    page.goto(ADDRESS)
    return page


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<script>nowhere()</script>", r"not caught: ReferenceError: nowhere"),
        ("<script>Promise.reject(new Error('lost'))</script>", r"not caught: Error: lost"),
        ("<script>console.error('broken')</script>", r"error: broken"),
        ("<img src='https://example.org/a.png' onerror='0'>", r"to another host: https://example.org/a.png"),
    ],
    ids=["error", "rejection", "console", "host"],
)
def test_faults_of_a_page_are_told(careless: Watch, body: str, told: str) -> None:
    """An error that nothing catches, one in the console, and a request to another host each fail a test."""
    show(careless, body, "default-src 'unsafe-inline'; img-src *")
    with pytest.raises(AssertionError, match=told):
        careless.check()


def test_policy_violation_is_told(careless: Watch) -> None:
    """What the policy of a page has refused fails a test."""
    show(careless, "<b onclick='0'>b</b><img src='/a.png' style='color: red'>", "default-src 'none'")
    with pytest.raises(AssertionError, match=r"(?s)Policy violated: .*Policy violated: "):
        careless.check()


def test_refusals_are_told_or_expected(careless: Watch) -> None:
    """An answer of 404 fails a test, unless the test expects it."""
    show(careless, "<img src='/gone.png'>", "img-src *")
    with pytest.raises(AssertionError, match=r"status of 404.*gone\.png"):
        careless.check()
    careless.allow_status(404)
    careless.check()


def test_sound_page_is_not_told(careless: Watch) -> None:
    """A page in which all is well fails nothing, also when axe-core has been run in it under a strict policy."""
    page = show(careless, "<main><h1>Well</h1></main>", "default-src 'none'")
    assert [fault for fault in axe(page) if "html-has-lang" not in fault] == []
    careless.check()


def test_axe_names_the_element(careless: Watch) -> None:
    """What axe-core finds is told with its rule and the element."""
    page = show(careless, "<main><h1>Well</h1><input id=nameless></main>")
    [fault] = [fault for fault in axe(page) if "#nameless" in fault]
    assert re.match(r"label \(critical\): Form elements must have labels", fault)


def test_pages_are_kept(careless: Watch, tmp_path: Path) -> None:
    """Of a test that fails, what was said in its pages and what they look like are kept."""
    show(careless, "<script>console.log('said')</script>", "default-src 'unsafe-inline'")
    log, picture = careless.keep(tmp_path)
    assert "log: said" in log.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


async def test_other_tests_have_their_loop(chromium: Chromium) -> None:
    """A browser that is open does not stand in the way of tests that run in an event loop."""
    assert chromium.browser.is_connected()
