"""Alerts and dashboard: they ask for metrics that exist, and each alert has its section in the documentation."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prometheus_client import REGISTRY

import app.main  # noqa: F401 - all metrics are made
from tests.support.paths import ROOT
from tests.support.watching import alert_rules, panel_queries

RULES = alert_rules()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def sections() -> dict[str, str]:
    """The sections about alerts, by their headings."""
    [found] = re.findall(r"^## Alerts\n(.*?)(?=^## )", OPERATIONS, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", found, re.MULTILINE | re.DOTALL))


def series() -> set[str]:
    """The names that samples of our metrics may have."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {
        f"{family.name}{ending}"
        for family in REGISTRY.collect()
        if family.name.startswith("bulk_")
        for ending in endings[family.type]
    }


EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{title} {number}": query for number, (title, query) in enumerate(panel_queries())
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_metrics_exist(expression: str) -> None:
    """Whatever an alert or a panel asks for is a metric of ours, or one of Prometheus."""
    asked = set(re.findall(r"\bbulk_\w+", expression))
    assert asked <= series()
    assert asked or "up{" in expression or "process_" in expression


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_have_a_runbook(rule: dict[str, Any]) -> None:
    """An alert says in one line what is the matter, how urgent that is, and where to read on."""
    assert rule["annotations"]["summary"]
    link = urlsplit(rule["annotations"]["runbook_url"])
    assert link.path.endswith("/docs/operations.md")
    assert link.fragment == rule["alert"].lower()
    section = sections()[rule["alert"]]
    assert f"**Means** ({rule['labels']['severity']})" in section
    assert "**Look at**" in section
    assert "**Do**" in section


def test_sections_are_the_alerts() -> None:
    """No section is about an alert that there is no more."""
    assert list(sections()) == [rule["alert"] for rule in RULES]


def test_every_alert_is_tested() -> None:
    """Each alert has a test in which it fires, and one in which it does not."""
    tests = yaml.safe_load((ROOT / "deploy/prometheus/alerts.test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    for fires in (True, False):
        tested = {check["alertname"] for check in checks if bool(check["exp_alerts"]) is fires}
        assert tested == {rule["alert"] for rule in RULES}


def test_dashboard_can_be_imported() -> None:
    """Its panels have ids of their own, do not overlap, and leave the choice of the source to whoever looks."""
    board = json.loads((ROOT / "deploy/grafana/bulk-operations.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    sources = {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"}
    assert sources == {"${datasource}"}
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource"]
