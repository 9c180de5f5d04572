"""The collection in docs/postman, and newman to run it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

DIRECTORY = ROOT / "docs" / "postman"
COLLECTION = DIRECTORY / "bulk-operations.postman_collection.json"
ENVIRONMENT = DIRECTORY / "bulk-operations.postman_environment.json"


def requests(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        if "item" in item:
            yield from requests(item["item"])
        else:
            yield item


REQUESTS = list(requests(json.loads(COLLECTION.read_text(encoding="utf-8"))["item"]))


def run(newman: Path, report: Path, *, folder: str | None = None, **environment: str) -> dict[str, Any]:
    """Run the collection, or one folder of it, with these variables; what newman reports."""
    variables = [part for name, value in environment.items() for part in ("--env-var", f"{name}={value}")]
    done = subprocess.run(
        [
            *(str(newman), "run", str(COLLECTION), "--environment", str(ENVIRONMENT), *variables),
            *("--working-dir", str(DIRECTORY), "--reporters", "cli,json", "--reporter-json-export", str(report)),
            *(("--folder", folder) if folder else ()),
            *("--color", "off", "--timeout-request", "30000", "--timeout", "120000"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    result: dict[str, Any] = json.loads(report.read_text())["run"]
    return result


def assert_all_went_well(result: dict[str, Any]) -> None:
    assert result["failures"] == []
    assert {execution["item"]["name"] for execution in result["executions"]} == {item["name"] for item in REQUESTS}
    assert result["stats"]["assertions"]["total"] >= 2 * len(REQUESTS)
