"""A worker process, started as an operator would, and what a client asks of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from app.domain.actions import ENDED
from stack.addresses import free_port
from stack.process import Child
from tests.support.forms import REQUIRED
from tests.support.waiting import wait_for


class Worker:
    """A worker process, started as an operator would. It dies with the process of the tests, however that ends."""

    def __init__(
        self,
        environment: dict[str, str],
        directory: Path,
        inject: dict[str, dict[str, Any]] | None = None,
        level: str = "info",
        python: Path | None = None,
    ) -> None:
        """Describe it. ``python``: of another environment than this one; the worker then runs in its directory."""
        self.inject = inject
        self.level = level
        self.python = python
        self.port = int(environment.get("PORT") or free_port())
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            **environment,
            "PORT": str(self.port),
            "DATA_DIR": str(directory / "data"),
        }
        self.client = httpx.Client(base_url=self.url, timeout=60)
        self.process: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

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
            self.process = Child(
                [str(self.python or sys.executable), "-m", "faust", "-A", app, "worker", "-l", self.level],
                directory=self.directory if self.python else None,
                environment=environment,
                output=output,
            )
        return self

    def start(self) -> Worker:
        return self.launch().wait_ready()

    def wait_ready(self) -> Worker:
        """Wait until it says that it is ready."""
        try:
            wait_for(self.ready, "the worker is ready", pause=0.05)
        except AssertionError as error:
            if not self.running:  # said already, with its log
                raise
            raise AssertionError(f"{error}; its log ends:\n{self.tail()}") from None
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

    def wait_dead(self, timeout: float = 120.0) -> None:
        """Wait until the worker has ended by itself, or by a fault that was built in."""
        wait_for(lambda: not self.running, "the worker is dead", timeout=timeout)

    def kill(self) -> None:
        """SIGKILL; dead when it returns."""
        if self.process is not None:
            self.process.kill()

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        assert self.process.stop(timeout), f"it has not ended within {timeout:.0f} s:\n{self.tail()}"
        code = self.process.poll()
        assert code is not None
        return code

    def peak_memory(self) -> int:
        """Largest resident size so far, bytes."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    # What a client does

    def upload(self, file: Path | bytes, **fields: str) -> httpx.Response:
        form = {**REQUIRED, **fields}
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

    def wait_processed(self, action_id: str, *, more_than: int, timeout: float = 120.0) -> None:
        """Wait until more than so many rows of an action have an outcome."""

        def processed() -> bool:
            action = self.poll(action_id)
            return action is not None and action["processedCount"] > more_than

        wait_for(processed, f"more than {more_than} rows are processed", timeout=timeout, pause=0.05)

    def wait_ended(self, action_id: str, timeout: float = 240.0) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def ended() -> dict[str, Any] | None:
            seen.update(self.poll(action_id) or {})
            return seen if seen.get("status") in ENDED else None

        try:
            return wait_for(ended, f"action {action_id} ended", timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}\n{self.tail()}") from None

    def dead_letters(self, **query: str) -> list[dict[str, Any]]:
        """The newest dead letters, up to one hundred."""
        answer = self.client.get("/dead-letters", params={"limit": "100", **query})
        assert answer.status_code == 200, answer.text
        return list(answer.json())

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
