"""A real browser, and pages that tell of everything that goes wrong in them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Download,
    FilePayload,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from stack.clients import AXE
from tests.support.installed import provided

#: Seconds that a page may take for what a test waits for, on a machine that does much else.
PATIENCE = 30.0
WIDTH, HEIGHT = 1280, 900
#: The narrowest screen for which pages are made.
NARROW = 360

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What asks for another host is a failure of the test; nothing is to leave the machine either.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_CONTEXT: dict[str, Any] = {
    "locale": "en-GB",
    "timezone_id": "Europe/Berlin",
    "viewport": {"width": WIDTH, "height": HEIGHT},
    "color_scheme": "light",
    "reduced_motion": "reduce",
}

#: How the dashboard finds out that it has to ask for a key.
_ASKED_FOR_KEY = r"status of 401.*/whoami\)$"

_VIOLATION = "Content-Security-Policy violated:"
_TELL_VIOLATIONS = f"""
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("{_VIOLATION}", event.effectiveDirective, event.blockedURI, event.sourceFile, event.sample));
"""


class Chromium:
    """The browser of one process of tests.

    Playwright runs an event loop in the thread of the tests and leaves it marked as running. Between tests that mark
    is taken away: else no other test of the process could run a loop of its own.
    """

    def __init__(self, program: Path) -> None:
        self._playwright = sync_playwright().start()
        self._loop = asyncio.get_running_loop()
        self.browser: Browser = self._playwright.chromium.launch(executable_path=program, args=FLAGS)
        expect.set_options(timeout=PATIENCE * 1000)
        self._mark(False)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Browser]:
        self._mark(True)
        try:
            yield self.browser
        finally:
            self._mark(False)

    def close(self) -> None:
        with self.in_use():
            self.browser.close()
            self._playwright.stop()

    def _mark(self, running: bool) -> None:
        asyncio._set_running_loop(self._loop if running else None)


class Watch:
    """Pages of one test, and what has gone wrong in them.

    Wrong are: an error that no script caught, an error in the console, a violation of the Content-Security-Policy, and
    a request to another host. Chromium writes answers from 400 on into the console: a test that means to have some
    says which (:meth:`allow_status`, :meth:`allow_outage`); the one with which the dashboard finds out that it needs a
    key is expected always.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._allowed = [_ASKED_FOR_KEY]
        self._wrong: list[str] = []
        self._log: list[str] = []
        self._contexts: list[BrowserContext] = []

    def open(self, **options: Any) -> Page:
        """A page with a storage of its own, as of another person; ``options`` are those of Playwright's contexts."""
        context = self._browser.new_context(**{**_CONTEXT, **options})
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        # A worker that is busy starts its first page slowly.
        context.set_default_navigation_timeout(2 * PATIENCE * 1000)
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._heard)
        context.on("weberror", self._thrown)
        context.on("request", self._asked)
        context.on("requestfailed", lambda request: self._log.append(f"failed {request.url}: {request.failure}"))
        return context.new_page()

    def allow_status(self, *statuses: int) -> None:
        """Expect answers with these statuses."""
        self._allowed += [rf"the server responded with a status of {status}\b" for status in statuses]

    def allow_outage(self) -> None:
        """Expect that workers are away, or not ready."""
        self._allowed.append(
            r"net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|NETWORK_\w+|SOCKET_\w+)"
        )
        self.allow_status(502, 503, 504)

    def allow(self, pattern: str) -> None:
        """Expect what the test provokes: an error in the console that this regular expression finds."""
        self._allowed.append(pattern)

    def wrong(self) -> list[str]:
        """What has gone wrong so far, without what is expected."""
        return [each for each in self._wrong if not any(re.search(allowed, each) for allowed in self._allowed)]

    def check(self) -> None:
        for page in self.pages():
            with contextlib.suppress(Exception):  # a page that is closing has said all it will say
                page.evaluate("1")  # what it said before has arrived then
        if wrong := self.wrong():
            raise AssertionError("\n".join(("in the pages of this test:", *wrong)))

    def pages(self) -> list[Page]:
        return [page for context in self._contexts for page in context.pages if not page.is_closed()]

    def keep(self, directory: Path) -> list[Path]:
        """Write what every page looks like and what was said in them; the files."""
        log = directory / "console.log"
        log.write_text("".join(f"{line}\n" for line in self._log), encoding="utf-8")
        kept = [log]
        for number, page in enumerate(self.pages()):
            with contextlib.suppress(Exception):  # a page that hangs: the failure itself is what matters
                picture = directory / f"page{number}.png"
                page.screenshot(path=picture, full_page=True, timeout=5000)
                kept.append(picture)
        return kept

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        text = f"{message.type}: {message.text} ({message.location.get('url', '')})"
        self._log.append(text)
        if message.type in ("error", "assert"):
            self._wrong.append(text)

    def _thrown(self, error: WebError) -> None:
        text = f"not caught: {error.error.stack or error.error.message}"
        self._log.append(text)
        self._wrong.append(text)

    def _asked(self, request: Request) -> None:
        url = urlsplit(request.url)
        self._log.append(f"{request.method} {request.url}")
        if url.scheme not in ("data", "blob") and url.hostname not in ("127.0.0.1", "localhost"):
            self._wrong.append(f"request to another host: {request.url}")


class Modules:
    """The modules of the dashboard, imported in a page of it and called from Python."""

    def __init__(self, page: Page, worker_url: str) -> None:
        page.goto(worker_url)
        self.page = page
        self._base = page.evaluate("document.querySelector('script[type=module]').src").rpartition("/")[0]

    def url(self, module: str) -> str:
        """The address of a module: ``lib/format.js``."""
        return f"{self._base}/{module}"

    def call(self, module: str, function: str, *arguments: Any) -> Any:
        """Call a function of a module, and return what it returns, awaited; both ways as JSON, dates too."""
        return self.page.evaluate(
            "async ([url, name, given]) => (await import(url))[name](...given)", [self.url(module), function, arguments]
        )

    def run(self, module: str, script: str, argument: Any = None) -> Any:
        """Call a function of JavaScript with a module and an argument: ``run("lib/a.js", "(m, x) => m.b(x).c", 1)``."""
        return self.page.evaluate(
            f"async ([url, argument]) => ({script})(await import(url), argument)", [self.url(module), argument]
        )


# What people do


def sign_in(page: Page, key: str) -> None:
    """Give a key or a token to the page that asks for one, and wait until it is let in."""
    field = page.get_by_label("API key or token")
    field.fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(field).to_have_count(0)


def upload(page: Page, *files: Path | tuple[str, bytes]) -> None:
    """Choose files in the page's only field for files: paths, or names with contents."""
    given = [(each.name, each.read_bytes()) if isinstance(each, Path) else each for each in files]
    page.locator("input[type=file]").set_input_files(
        [FilePayload(name=name, mimeType="text/csv", buffer=content) for name, content in given]
    )


def download(page: Page, name: str, directory: Path, *, role: Any = "button") -> Path:
    """Press what has this name, and return the file that comes, under the name that it was given."""
    with page.expect_download() as coming:
        page.get_by_role(role, name=name).click()
    return saved(coming.value, directory)


def saved(file: Download, directory: Path) -> Path:
    path = directory / file.suggested_filename
    file.save_as(path)
    return path


# What is asked of every page


def axe(page: Page) -> list[str]:
    """What axe-core finds fault with in the page as it is, one line for each element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((provided(AXE) / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        "async () => (await axe.run(document, { resultTypes: ['violations'], preload: false })).violations"
    )
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['target']} {' '.join(node['failureSummary'].split())}"
        for rule in found
        for node in rule["nodes"]
    ]


def assert_accessible(page: Page) -> None:
    """Assert that axe-core finds no fault, in light and in dark; the page is left in light."""
    page.emulate_media(color_scheme="dark")
    found = [f"dark: {fault}" for fault in axe(page)]
    page.emulate_media(color_scheme="light")
    found += [f"light: {fault}" for fault in axe(page)]
    if found:  # not asserted, to have each on a line of its own
        raise AssertionError("\n".join((f"{len(found)} faults:", *found[:20])))


def assert_fits(page: Page, width: int = NARROW) -> None:
    """Assert that nothing of the page has to be scrolled to sideways on a screen of this width; it is left so wide."""
    page.set_viewport_size({"width": width, "height": 740})
    wide = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
          .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
          .map((each) => each.outerHTML.slice(0, 80))"""
    )
    inside = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert inside, f"wider than {width} px: {wide[:10]}"
