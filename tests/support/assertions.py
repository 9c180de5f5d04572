"""What an answer, and all that a file has become, must be."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pymongo

from app.domain.actions import Status, is_action_id
from app.domain.outcomes import CHANGES
from stack.samples import Expected, Sample
from tests.support.workers import Worker


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Check that an error has its documented form; return status, code and message."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body = answer.json()
    for fault in body.pop("errors", []):
        assert set(fault) == {"field", "code", "message"}
    if answer.status_code == 503:
        body.pop("dependency", None)
    if body["code"] == "TRANSITION_NOT_ALLOWED":
        assert body.pop("status") in Status.__members__
    if body["code"] == "ALREADY_RETRIED":
        assert is_action_id(body.pop("retriedBy"))
    assert list(body) == ["error", "code", "requestId"]
    assert all(isinstance(value, str) and value for value in body.values())
    assert body["requestId"] == answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", body["code"])
    return answer.status_code, body["code"], body["error"]


def assert_verified(
    environment: dict[str, str], action_id: str | None = None, *, since: datetime | None = None, timeout: float = 300.0
) -> None:
    """The verify command finds no difference, in one action, in those made since a time, or in any."""
    with verifying(environment, action_id, since=since, timeout=timeout):
        pass


@contextmanager
def verifying(
    environment: dict[str, str], action_id: str | None = None, *, since: datetime | None = None, timeout: float = 300.0
) -> Iterator[None]:
    """The same, while something else is looked at."""
    wanted = [action_id] if action_id else [] if since is None else ["--since", f"{since:%Y-%m-%dT%H:%M:%S}"]
    command = [sys.executable, "-m", "app", "verify", *wanted]
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
    assert process.returncode == 0, output


def assert_exact(
    worker: Worker, action_id: str, sample: Sample, expected: Expected, mongo_uri: str
) -> list[dict[str, Any]]:
    """Counters, row outcomes and the entity collection are exactly what the file says; return the outcomes."""
    action = worker.action(action_id)
    assert action["status"] == "COMPLETED", action
    counted = {name: action[name] for name in expected.counts()}
    assert counted == expected.counts()
    assert action["createdCount"] + action["updatedCount"] + action["unchangedCount"] == expected.success
    rows = worker.records(action_id)
    assert_rows(rows, sample.codes())
    assert contacts(mongo_uri, sample.prefix) == sample.records()
    return rows


def assert_rows(rows: list[dict[str, Any]], codes: list[str | None]) -> None:
    """Each row has one outcome, in order; it failed as the file says, or it or its owner succeeded."""
    assert [row["row"] for row in rows] == list(range(1, len(codes) + 1))
    status = {row["row"]: row["status"] for row in rows}
    for row, code in zip(rows, codes, strict=True):
        if row["status"] == "FAILED":
            assert row["code"] == code, row
        elif row["status"] == "SKIPPED":
            assert row["code"] == "DUPLICATE", row
            assert status[row["ownerRow"]] == "SUCCESS", row
        else:
            assert code in (None, "DUPLICATE"), row


def assert_histories(
    worker: Worker, action_id: str, file: Path, rows: list[dict[str, Any]], *, asked: int = 60
) -> None:
    """The histories of the file's records name the action and the row that has changed each, once, and no other row.

    ``rows``: the outcomes of its rows. ``asked``: of how many of the records, spread over the file.
    """
    codes = {row["row"]: row["code"] for row in rows}
    with file.open(encoding="utf-8", newline="") as lines:
        keys = [record["id"].strip() for record in csv.DictReader(lines)]
    changes: dict[str, list[tuple[int, str]]] = {key: [] for key in keys if key}
    for number, key in enumerate(keys, 1):
        if codes[number] in CHANGES:
            changes[key].append((number, codes[number]))
    for key in list(changes)[:: max(1, len(changes) // asked)]:
        answer = worker.client.get(f"/records/Contact/{quote(key, safe='')}")
        assert answer.status_code in (200, 404), answer.text
        entries = answer.json()["history"] if answer.status_code == 200 else []
        assert [(e["row"], e["code"]) for e in entries if e["actionId"] == action_id] == changes[key], key


def contacts(mongo_uri: str, prefix: str) -> dict[str, tuple[str, str, str]]:
    """The contacts whose id begins with ``prefix``: id → (name, email, status)."""
    with pymongo.MongoClient[dict[str, Any]](mongo_uri) as client:
        found = client.get_default_database()["contacts"].find(batch_size=10_000)
        return {c["id"]: (c["name"], c["email"], c["status"]) for c in found if c["id"].startswith(prefix)}
