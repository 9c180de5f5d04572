"""How long it takes until the dashboard can be used, on a slow processor, beside a page without scripts."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, sync_playwright

from benchmarks.bed import Bed
from benchmarks.report import Table, median, say
from stack.clients import CHROMIUM
from stack.errors import Cancellation
from tests.support.browsing import FLAGS
from tests.support.files import contacts_csv
from tests.support.workers import Worker

#: How many times slower than this machine's the processor of the reader's laptop is (as Lighthouse's mobile preset).
_SLOWER = 4
_VISITS = 7

#: What somebody came for: where files are chosen, and the heading of the page without scripts.
_USABLE = {"/": "input[type=file]", "/docs": "h1"}

#: Notes when that is there, and how long the main thread was held up for more than 50 ms at once.
_MEASURE = """(selector) => {
window.measured = { usable: null, blocked: 0 };
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.measured.blocked += task.duration - 50;
}).observe({ type: "longtask", buffered: true });
new MutationObserver((_, observer) => {
  if (!document.querySelector(selector)) return;
  window.measured.usable = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
}"""
_READ = """() => ({
  ...window.measured,
  usable: window.measured.usable,
  painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
  bytes: [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")]
    .reduce((sum, entry) => sum + entry.transferSize, 0),
  requests: performance.getEntriesByType("resource").length + 1,
})"""

Visit = dict[str, float]


def measure(bed: Bed) -> tuple[list[Table], dict[str, Any]]:
    """Visit the dashboard and the page of the API, in turns, with an empty cache and again with a full one."""
    worker = bed.start_worker()
    worker.wait_ended(worker.submit(contacts_csv("1,Ada,ada@example.com,active")))
    visits: dict[str, list[Visit]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM.provide(Cancellation()), args=FLAGS)
        for _ in range(_VISITS):
            for path in ("/", "/docs"):
                context = browser.new_context()
                for cache in ("empty", "full"):
                    visits.setdefault(f"{path} {cache}", []).append(_visit(context, worker, path))
                context.close()
        version = browser.version
        browser.close()
    bed.stop_workers()
    figures = {
        name: {key: median([visit[key] for visit in found]) for key in found[0]} for name, found in visits.items()
    }
    table = Table(
        f"The dashboard beside /docs, Chromium {version.partition('.')[0]}, processor slowed down {_SLOWER} times",
        ["cache", "usable", "first paint", "main thread blocked, ms", "kB on the wire", "requests"],
    )
    for cache in ("empty", "full"):
        own, other = figures[f"/ {cache}"], figures[f"/docs {cache}"]
        say(f"{cache} cache: usable after {own['usable']:.0f} ms, /docs {other['usable']:.0f} ms")
        table.add(
            cache,
            *(f"{own[key] / other[key]:.2f} of {other[key]:.0f} ms" for key in ("usable", "painted")),
            f"{own['blocked']:.0f}",
            f"{own['bytes'] / 1000:.0f}",
            f"{own['requests']:.0f}",
        )
    return [table], figures


def _visit(context: BrowserContext, worker: Worker, path: str) -> Visit:
    page = context.new_page()
    page.add_init_script(f"({_MEASURE})({json.dumps(_USABLE[path])})")
    session = context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    page.goto(worker.url + path)
    page.locator(_USABLE[path]).first.wait_for(state="attached")
    page.wait_for_load_state("load")
    visit: Visit = page.evaluate(_READ)
    page.close()
    return visit
