"""The audit log: one line for each change, allowed or refused, that says who, from where and what; and no secret."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.access import Role
from app.observability import audit
from tests.support.issuer import token
from tests.support.logs import lines_of
from tests.support.secured import Guarded
from tests.support.waiting import wait_for
from web.routes import ROUTES

CHANGING = [
    (method, route.path, operation.name)
    for route in ROUTES
    for method, operation in route.operations.items()
    if method != "GET"
]
READING = [route.path for route in ROUTES if "GET" in route.operations]
ROW = b"id,name,email,status\n1,Ada,ada@example.com,active\n"
UNKNOWN = "0" * 24


@pytest.fixture(scope="module")
def keys(guarded: Guarded) -> dict[Role, str]:
    return {role: guarded.key("audited", role) for role in Role}


def lines(guarded: Guarded, event: str, request: str) -> list[dict[str, Any]]:
    """The lines of an event that a request has left; those of the request itself come last of all."""

    def told() -> list[dict[str, Any]]:
        return [line for line in lines_of(guarded.worker.log) if line.get("request") == request]

    wait_for(lambda: any(line["event"] == "request" for line in told()), "the line of the request")
    return [line for line in told() if line["event"] == event]


def ask(
    guarded: Guarded, method: str, path: str, headers: Mapping[str, str], **sent: Any
) -> tuple[httpx.Response, str]:
    request = uuid.uuid4().hex
    path = re.sub(r"\{\w+\}", UNKNOWN, path)
    answer = guarded.worker.client.request(method, path, headers={**headers, "X-Request-ID": request}, **sent)
    return answer, request


@pytest.mark.parametrize(("method", "path", "operation"), CHANGING)
@pytest.mark.parametrize("role", [None, *Role])
def test_every_change_has_one_line(
    guarded: Guarded, keys: dict[Role, str], method: str, path: str, operation: str, role: Role | None
) -> None:
    """Each route that changes something gives exactly one, whoever asks, and whatever comes of it."""
    headers = {} if role is None else {"X-API-Key": keys[role]}
    answer, request = ask(guarded, method, path, headers)
    [line] = lines(guarded, "audit", request)
    assert line["logger"] == "audit"
    assert (line["operation"], line["result"], line["status"]) == (operation, "refused", answer.status_code)
    assert line["code"] == answer.json()["code"]
    assert line["source"] == "127.0.0.1"
    assert line.get("account") == (None if role is None else "audited")
    assert line.get("role") == (None if role is None else role.value)
    assert line.get("by", "").startswith("" if role is None else "key ")


def test_lines_say_what_was_changed(guarded: Guarded, keys: dict[Role, str]) -> None:
    """Of what is made, the id; of what is steered too."""
    form = {"actionType": "BULK_UPDATE", "entityType": "Contact", "scheduledAt": "2090-01-01T00:00:00Z"}
    headers = {"X-API-Key": keys[Role.OPERATOR]}
    answer, request = ask(guarded, "POST", "/bulk-actions", headers, data=form, files={"file": ("x.csv", ROW)})
    [made] = lines(guarded, "audit", request)
    assert (made["result"], made["status"], made["made"]) == ("done", 201, answer.json()["actionId"])
    path = f"/bulk-actions/{made['made']}"
    _, request = ask(guarded, "POST", f"{path}/cancel", headers, json={"reason": "marked"})
    [cancelled] = lines(guarded, "audit", request)
    assert (cancelled["operation"], cancelled["result"]) == ("cancelBulkAction", "done")
    assert cancelled["action"] == made["made"]
    assert cancelled["path"] == f"{path}/cancel"
    assert cancelled["by"] == guarded.worker.client.get(path, headers=headers).json()["cancelledBy"]


@pytest.mark.parametrize("path", READING)
def test_reading_has_one_line_and_no_audit(guarded: Guarded, keys: dict[Role, str], path: str) -> None:
    """Whoever reads leaves a line with the route, unless it is asked for all the time."""
    request = uuid.uuid4().hex
    where = re.sub(r"\{\w+\}", UNKNOWN, path)
    answer = guarded.worker.client.get(where, headers={"X-API-Key": keys[Role.ADMIN], "X-Request-ID": request})
    _, behind = ask(guarded, "GET", "/entities", {"X-API-Key": keys[Role.ADMIN]})
    assert lines(guarded, "request", behind)
    told = [line for line in lines_of(guarded.worker.log) if line.get("request") == request]
    assert not [line for line in told if line["logger"] == "audit"]
    requests = [line for line in told if line["event"] == "request"]
    if path in ("/health", "/ready", "/metrics", "/workers"):
        assert not requests
        return
    [line] = requests
    assert (line["method"], line["status"]) == ("GET", answer.status_code)
    assert line["route"] == path
    assert line["ms"] >= 0
    # Streams of events end at once here.
    assert line["bytes"] > 0 or "events" in path


def test_no_record_id_is_logged(guarded: Guarded, keys: dict[Role, str]) -> None:
    """It may be a name or an address."""
    headers = {"X-API-Key": keys[Role.VIEWER]}
    _, request = ask(guarded, "GET", "/records/Contact/ada-marked@example.com", headers)
    [line] = lines(guarded, "request", request)
    assert line["path"] == "/records/Contact/{record_id}"
    assert "ada-marked" not in guarded.worker.log.read_text(errors="replace")


def test_nothing_of_an_unknown_path_is_logged(guarded: Guarded) -> None:
    _, request = ask(guarded, "POST", "/ada-marked?password=marked-too", {})
    [line] = lines(guarded, "request", request)
    assert line["status"] == 404
    assert "marked" not in json.dumps(line)
    assert not lines(guarded, "audit", request)


def test_forged_source_is_not_believed(guarded: Guarded) -> None:
    """Where no proxy is trusted, the address is that of the connection."""
    _, request = ask(guarded, "POST", "/bulk-actions", {"X-Forwarded-For": "203.0.113.9"})
    [line] = lines(guarded, "audit", request)
    assert line["source"] == "127.0.0.1"


def test_refused_credential_is_told(guarded: Guarded) -> None:
    """Why, and not which."""
    sent = token(secret="x" * 32)
    _, request = ask(guarded, "POST", "/bulk-actions", {"Authorization": f"Bearer {sent}"})
    [line] = lines(guarded, "audit", request)
    assert line["code"] == "INVALID_CREDENTIAL"
    assert line["reason"].startswith("The token")
    assert sent.rpartition(".")[2] not in json.dumps(line)


def test_audit_log_can_go_elsewhere(tmp_path: Path) -> None:
    """AUDIT_LOG is a file of its own, which is made anew when it is moved away."""
    path = tmp_path / "audit.jsonl"
    audit.send_audit_log(path)
    audit.audit("keys create", "done", key="k1", by="somebody")
    path.rename(tmp_path / "moved")
    audit.audit("keys revoke", "done", key="k1", by="somebody")
    [line] = lines_of(path)
    assert (line["operation"], line["key"], line["logger"]) == ("keys revoke", "k1", "audit")
    assert lines_of(tmp_path / "moved")[0]["operation"] == "keys create"
    audit.close_audit_log()
