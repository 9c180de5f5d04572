"""The alerts and the dashboard of `deploy`, as tests read them."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.support.paths import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"


def alert_rules() -> list[dict[str, Any]]:
    """The alerts, in their order."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panel_queries() -> list[tuple[str, str]]:
    """The queries of the dashboard: the title of the panel, and what it asks, over the last minute."""
    board = json.loads((ROOT / "deploy/grafana/bulk-operations.json").read_text())
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m"))
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]
