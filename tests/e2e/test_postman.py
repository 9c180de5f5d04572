"""The collection in docs/postman has every route, and newman runs it without a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.newman import ENVIRONMENT, REQUESTS, assert_all_went_well, run
from tests.support.workers import Worker
from web.routes import ROUTES

#: Requests for what is not there.
NO_ROUTE = {("GET", "/nowhere"), ("DELETE", "/bulk-actions")}


def asked(item: dict[str, Any]) -> tuple[str, str]:
    """The method and the path of a request."""
    path = item["request"]["url"]["raw"].removeprefix("{{baseUrl}}").partition("?")[0]
    return item["request"]["method"], path


def test_collection_has_every_route() -> None:
    """Every route and method is in the collection."""
    # A stream that does not end by itself is asked for its headers.
    sent = [("GET" if method == "HEAD" else method, path) for method, path in map(asked, REQUESTS)]
    met = {
        (method, route.path): {
            (sent_method, path)
            for sent_method, path in sent
            if sent_method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), path)
        }
        for route in ROUTES
        for method in route.operations
    }
    assert [route for route, found in met.items() if not found] == []
    assert set(sent) - set().union(*met.values()) == NO_ROUTE


def test_requests_are_named() -> None:
    """Every request has a name of its own, and says what it expects."""
    names = [item["name"] for item in REQUESTS]
    assert len(set(names)) == len(names)
    for item in REQUESTS:
        scripts = ["\n".join(event["script"]["exec"]) for event in item["event"] if event["listen"] == "test"]
        assert any("pm.test(" in script for script in scripts), item["name"]


def test_environment_is_local() -> None:
    """The environment has no secret, and points to this machine."""
    values = {value["key"]: value["value"] for value in json.loads(ENVIRONMENT.read_text())["values"]}
    assert values == {"baseUrl": "http://localhost:3000", "apiKey": "", "accountId": ""}


def test_collection_has_no_failure(newman: Path, worker: Worker, tmp_path: Path) -> None:
    """The collection runs without a failure."""
    address = str(worker.client.base_url).rstrip("/")
    assert_all_went_well(run(newman, tmp_path / "report.json", baseUrl=address, accountId="postman"))


def test_failure_is_seen(newman: Path, worker: Worker, tmp_path: Path) -> None:
    """A failure of the collection is seen."""
    with pytest.raises(AssertionError, match="404 DEAD_LETTER_NOT_FOUND"):
        nowhere = f"{str(worker.client.base_url).rstrip('/')}/nowhere"
        run(newman, tmp_path / "report.json", folder="Dead letters", baseUrl=nowhere)
