"""What the tests of the running system share: a worker process, a client, and what a file must have become."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pymongo

from stack.addresses import free_port
from stack.samples import Expected, Sample

T = TypeVar("T")

ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Check that an error has its documented form; return status, code and message."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body = answer.json()
    for fault in body.pop("errors", []):
        assert set(fault) == {"field", "code", "message"}
    if answer.status_code == 503:
        body.pop("dependency", None)
    assert list(body) == ["error", "code", "requestId"]
    assert all(isinstance(value, str) and value for value in body.values())
    assert body["requestId"] == answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", body["code"])
    return answer.status_code, body["code"], body["error"]


def wait_for(probe: Callable[[], T | None], what: str, *, timeout: float = 60.0, pause: float = 0.05) -> T:
    """Poll until ``probe`` returns something true; return that."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)
    return value


async def eventually(probe: Callable[[], object], what: str, *, timeout: float = 60.0) -> None:
    """Poll inside an event loop until ``probe`` returns something true."""
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        await asyncio.sleep(0.02)


class NotUtf8(str):
    """The name of a header as no client of Python writes it, and others may."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


class Worker:
    """A worker process, started as an operator would."""

    def __init__(
        self,
        environment: dict[str, str],
        directory: Path,
        inject: dict[str, dict[str, Any]] | None = None,
        level: str = "info",
    ) -> None:
        self.inject = inject
        self.level = level
        self.port = int(environment.get("PORT") or free_port())
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            **environment,
            "PORT": str(self.port),
            "DATA_DIR": str(directory / "data"),
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / "worker.log"

    def launch(self) -> Worker:
        app = "app"
        environment = self.environment
        if self.inject is not None:
            app = "tests.faults.injected"
            environment = {**environment, "INJECT": json.dumps(self.inject)}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", app, "worker", "-l", self.level],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def start(self, timeout: float = 60.0) -> Worker:
        self.launch()
        wait_for(self.ready, f"worker ready; its log ends:\n{self.tail()}", timeout=timeout)
        return self

    def ready(self) -> bool:
        return self.readiness().get("status") == "UP"

    def readiness(self) -> dict[str, Any]:
        """What ``/ready`` answers; nothing while the worker does not listen yet."""
        assert self.process is not None
        assert self.process.poll() is None, f"the worker has ended:\n{self.tail()}"
        try:
            return dict(self.client.get("/ready").json())
        except httpx.TransportError:
            return {}

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]) if self.log.exists() else ""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL; dead when it returns."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def peak_memory(self) -> int:
        """Largest resident size so far, bytes."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    # What a client does

    def upload(self, file: Path | bytes, **fields: str) -> httpx.Response:
        form = {"actionType": "BULK_UPDATE", "entityType": "Contact", **fields}
        if isinstance(file, bytes):
            return self.client.post("/bulk-actions", data=form, files={"file": ("upload.csv", file, "text/csv")})
        with file.open("rb") as stream:
            return self.client.post("/bulk-actions", data=form, files={"file": (file.name, stream, "text/csv")})

    def submit(self, file: Path | bytes, **fields: str) -> str:
        answer = self.upload(file, **fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["actionId"])

    def action(self, action_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/bulk-actions/{action_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def poll(self, action_id: str) -> dict[str, Any] | None:
        """The action; None while the worker, or what it needs, is away or too slow for a moment."""
        try:
            answer = self.client.get(f"/bulk-actions/{action_id}")
        except httpx.TransportError:
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_processed(self, action_id: str, *, more_than: int, timeout: float = 60.0) -> None:
        """Wait until more than so many rows of an action have an outcome."""

        def processed() -> bool:
            action = self.poll(action_id)
            return action is not None and action["processedCount"] > more_than

        wait_for(processed, f"more than {more_than} rows are processed", timeout=timeout)

    def wait_ended(self, action_id: str, timeout: float = 120.0) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def ended() -> dict[str, Any] | None:
            seen.update(self.poll(action_id) or {})
            return seen if seen.get("status") in ENDED else None

        try:
            return wait_for(ended, f"action {action_id} ended", timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}\n{self.tail()}") from None

    def records(self, action_id: str, **query: str) -> list[dict[str, Any]]:
        """Every page of the row outcomes."""
        rows: list[dict[str, Any]] = []
        url: str | None = f"/bulk-actions/{action_id}/records"
        asked: dict[str, str] | None = {"limit": "500", **query}
        while url is not None:
            answer = self.client.get(url, params=asked)
            assert answer.status_code == 200, answer.text
            rows += answer.json()
            following = answer.links.get("next")
            # The link has its own query, which empty parameters would remove.
            url, asked = (following["url"] if following else None), None
        return rows


def assert_verified(environment: dict[str, str], action_id: str | None = None, *, timeout: float = 300.0) -> None:
    """The verify command finds no difference."""
    command = [sys.executable, "-m", "app", "verify", *([action_id] if action_id else [])]
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert result.returncode == 0, result.stdout + result.stderr


def assert_exact(worker: Worker, action_id: str, sample: Sample, expected: Expected, mongo_uri: str) -> None:
    """Counters, row outcomes and the entity collection are exactly what the file says."""
    action = worker.action(action_id)
    assert action["status"] == "COMPLETED", action
    counted = {name: action[name] for name in expected.counts()}
    assert counted == expected.counts()
    assert action["createdCount"] + action["updatedCount"] == expected.success
    assert_rows(worker.records(action_id), sample.codes())
    assert contacts(mongo_uri, sample.prefix) == sample.records()


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


def contacts(mongo_uri: str, prefix: str) -> dict[str, tuple[str, str, str]]:
    """The contacts whose id begins with ``prefix``: id → (name, email, status)."""
    with pymongo.MongoClient[dict[str, Any]](mongo_uri) as client:
        found = client.get_default_database()["contacts"].find(batch_size=10_000)
        return {c["id"]: (c["name"], c["email"], c["status"]) for c in found if c["id"].startswith(prefix)}
