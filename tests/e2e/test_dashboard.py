"""The dashboard is served by every worker: fresh, packed, and kept by browsers for as long as it is the same."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.support.workers import Worker


@pytest.fixture
def page(worker: Worker) -> httpx.Response:
    return worker.client.get("/")


def assets_of(page: httpx.Response) -> list[str]:
    return re.findall(r'"(assets/[^"]+)"', page.text)


def test_page_is_asked_for_again(worker: Worker, page: httpx.Response) -> None:
    """The page is asked for each time, which costs a 304: after an update it is another one."""
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-cache"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    again = worker.client.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_files_are_kept_for_ever(worker: Worker, page: httpx.Response) -> None:
    """Each file that the page names is there, under an address that a browser need not ask for again."""
    for path in assets_of(page):
        answer = worker.client.get(f"/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        again = worker.client.get(f"/{path}", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "gzip"), ("identity", None)])
def test_files_are_packed(worker: Worker, page: httpx.Response, accepted: str, encoding: str | None) -> None:
    """Whoever takes gzip is sent less, under a tag of its own."""
    answer = worker.client.get(f"/{assets_of(page)[-1]}", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["ETag"].endswith('-gzip"') == (encoding == "gzip")
    assert "import" in answer.text


def test_files_of_another_version(worker: Worker) -> None:
    """While workers are replaced a file of another version is sent as it is here, and not kept."""
    answer = worker.client.get(f"/assets/{'0' * 16}/app.js")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "path", ["nope.js", "../routes.py", "%2e%2e/routes.py", "index.html", "vendor", "vendor/", "%00"]
)
def test_unknown_file_is_not_found(worker: Worker, path: str) -> None:
    """Nothing but the files of the dashboard is sent."""
    answer = worker.client.get(f"/assets/{'0' * 16}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_page_by_any_name(worker: Worker) -> None:
    """Like the description, the page is shown under any name; what it asks for is not."""
    assert worker.client.get("/", headers={"Host": "bulk.example.com"}).status_code == 200
