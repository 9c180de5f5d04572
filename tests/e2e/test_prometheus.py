"""A real Prometheus with the configuration of `deploy` over a real worker: alerts, and every query of the dashboard."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from stack import PROMETHEUS, Instance, Options, Stack
from stack.prometheus import PROGRAM, RULES
from stack.tools import Tool
from tests.support.files import HEADER
from tests.support.namespaces import namespace
from tests.support.waiting import wait_for
from tests.support.watching import alert_rules, panel_queries
from tests.support.workers import Worker

PROMTOOL = Tool("promtool", package=PROGRAM.package, brew=PROGRAM.brew)

ROWS = "".join(f"p{number},N,p{number}@x.example,active\n" for number in range(50)).encode()


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Prometheus is a package of the system; without it these tests are skipped, but not in CI."""
    for tool in (PROGRAM, PROMTOOL):
        if (problem := tool.problem()) and not os.environ.get("CI"):
            pytest.skip(f"no Prometheus: {tool.command}: {problem}")


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    """The configuration and the rules are valid, and each alert fires when it should."""
    told = subprocess.run([PROMTOOL.command, *arguments], cwd=RULES, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr


@dataclass(frozen=True)
class Watched:
    """A worker, and the Prometheus that looks at it."""

    worker: Worker
    prometheus: Instance

    def get(self, path: str, **query: str) -> Any:
        answer = httpx.get(f"{self.prometheus.uri}/api/v1/{path}", params=query, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def series(self, query: str) -> list[dict[str, Any]]:
        """What a query finds now."""
        return list(self.get("query", query=query)["result"])


@pytest.fixture(scope="module")
def watched(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """After an action has run, some rows of which have failed."""
    worker = Worker(namespace(services, tmp_path_factory.mktemp("namespace")), tmp_path_factory.mktemp("worker"))
    options = Options(workers=(worker.port,), scrape_seconds=1)
    try:
        worker.start()
        with Stack(tmp_path_factory.mktemp("prometheus"), [PROMETHEUS], "free", options=options) as stack:
            watched = Watched(worker, stack[PROMETHEUS])
            wait_for(lambda: watched.series("bulk_dependency_up"), "the worker is scraped")
            worker.wait_ended(worker.submit(HEADER + ROWS + b"bad,N,nothing,active\n"))
            yield watched
    finally:
        worker.kill()
        worker.client.close()


@pytest.mark.parametrize(("title", "query"), panel_queries(), ids=lambda text: text[:40])
def test_panel_shows_something(watched: Watched, title: str, query: str) -> None:
    """Each query of the dashboard finds series, two scrapes after the action at the latest."""
    wait_for(lambda: watched.series(query), f"{title}: {query}")


def test_rows_are_those_of_the_action(watched: Watched) -> None:
    """Prometheus has what the worker has counted."""

    def counted() -> bool:
        found = watched.series("sum by (outcome) (bulk_rows_total)")
        rows = {one["metric"]["outcome"]: float(one["value"][1]) for one in found}
        return (rows.get("created"), rows.get("failed")) == (50, 1)

    wait_for(counted, "50 rows are created and one has failed")


def test_rules_are_evaluated(watched: Watched) -> None:
    """Prometheus has all alerts, and can evaluate each."""

    def rules() -> dict[str, str]:
        return {rule["name"]: rule["health"] for group in watched.get("rules")["groups"] for rule in group["rules"]}

    wait_for(lambda: rules() == {rule["alert"]: "ok" for rule in alert_rules()}, "all alerts are evaluated")


def test_dead_worker_is_told(watched: Watched) -> None:
    """A worker that is killed is told by its alert; the last test, because of that."""

    def told(alert: str) -> Callable[[], bool]:
        return lambda: any(one["labels"]["alertname"] == alert for one in watched.get("alerts")["alerts"])

    assert not told("BulkWorkerDown")()
    watched.worker.kill()
    wait_for(told("BulkWorkerDown"), "the alert is pending")
