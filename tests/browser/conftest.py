"""A browser for each process of tests, workers to look at, and a report of what was seen when a test failed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from app.domain.access import Role
from stack import Stack
from stack.clients import CHROMIUM
from tests.support.browsing import Chromium, Modules, Watch
from tests.support.installed import provided
from tests.support.issuer import SECRET
from tests.support.namespaces import namespace
from tests.support.secured import Guarded, count_answers, guarded_worker
from tests.support.workers import Worker

_WATCH = pytest.StashKey[Watch]()
#: As long as an operator's worker sends them, unlike those of other tests.
_STREAMS = {"EVENT_STREAM_SECONDS": "900"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test in whose pages something went wrong, whatever it has asserted itself."""
    result = yield
    if watch := item.stash.get(_WATCH, None):
        watch.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Keep what the pages of a failed test look like, while they are open, and say where."""
    report = yield
    if call.when == "call" and report.failed and (watch := item.stash.get(_WATCH, None)):
        kept = watch.keep(item.funcargs["tmp_path"])  # type: ignore[attr-defined]
        seen = [*map(str, kept), *(f"also wrong: {each}" for each in watch.wrong())]
        report.sections.append(("pages", "\n".join(seen)))
    return report


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser. Where it is missing its tests are skipped, but not in CI."""
    chromium = Chromium(provided(CHROMIUM))
    yield chromium
    chromium.close()


@pytest.fixture
def watch(chromium: Chromium, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watch]:
    """The pages of this test: ``watch.open()`` opens more of them, ``watch.allow_status(404)`` expects a refusal."""
    with chromium.in_use() as browser:
        watch = request.node.stash[_WATCH] = Watch(browser)
        yield watch
        watch.close()


@pytest.fixture
def page(watch: Watch) -> Page:
    """A page of a browser that has seen nothing yet."""
    return watch.open()


@pytest.fixture(scope="session")
def dashboard(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker that asks nobody for a key; tests share it, and tell their actions apart by id."""
    worker = Worker(
        {**namespace(services, tmp_path_factory.mktemp("namespace")), **_STREAMS}, tmp_path_factory.mktemp("dashboard")
    )
    try:
        yield worker.start()
        count_answers(pytestconfig, worker)
    finally:
        worker.kill()
        worker.client.close()


@pytest.fixture
def modules(page: Page, dashboard: Worker) -> Modules:
    """The modules of the dashboard: ``modules.call("lib/format.js", "number", 1234)``."""
    return Modules(page, dashboard.url)


@pytest.fixture(scope="session")
def secured_dashboard(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A worker that lets nobody in without a key or a token; ``key("acme", Role.VIEWER)`` makes a key."""
    yield from guarded_worker(services, pytestconfig, tmp_path_factory, JWT_SECRET=SECRET, **_STREAMS)


@pytest.fixture
def keys(secured_dashboard: Guarded, request: pytest.FixtureRequest) -> Callable[[Role], str]:
    """Keys of an account that is this test's own, by role."""
    account = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    made: dict[Role, str] = {}

    def key(role: Role) -> str:
        if role not in made:
            made[role] = secured_dashboard.key(account, role)
        return made[role]

    return key
