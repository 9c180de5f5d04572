"""How a worker starts and stops."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stack.addresses import free_port
from tests.support import Worker, wait_for

StartWorker = Callable[..., Worker]


def _exit_code(worker: Worker) -> int:
    assert worker.process is not None
    return worker.process.wait(timeout=30)


def test_a_worker_whose_port_is_in_use_says_so_in_one_line_and_ends(start_worker: StartWorker) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        worker = start_worker(wait=False, PORT=str(port))
        assert _exit_code(worker) == 2
    assert f"port {port} is in use" in worker.tail()
    assert "Traceback" not in worker.tail()


def test_a_worker_waits_for_what_it_depends_on_and_can_be_stopped_meanwhile(start_worker: StartWorker) -> None:
    worker = start_worker(wait=False, REDIS_URI=f"127.0.0.1:{free_port()}")
    wait_for(lambda: "waiting for Redis" in worker.tail(), "the worker says what it waits for")
    assert worker.running
    worker.stop(timeout=15)
    assert "Traceback" not in worker.tail()


def test_a_worker_refuses_topics_with_another_number_of_partitions(start_worker: StartWorker) -> None:
    first = start_worker()
    assert first.stop() == 0
    second = start_worker(wait=False, TOPIC_PARTITIONS="5")
    assert _exit_code(second) == 2
    assert "TOPIC_PARTITIONS says 5" in second.tail()


def test_a_worker_waits_for_its_own_storage(
    start_worker: StartWorker, environment: dict[str, str], tmp_path: Path
) -> None:
    """With an empty directory in its place it is not ready, takes nothing, and says which setting it is about."""
    root, hidden = tmp_path / "storage", tmp_path / "hidden"
    worker = start_worker()
    root.rename(hidden)
    root.mkdir()
    wait_for(lambda: worker.readiness().get("checks", {}).get("storage") == "DOWN", "not ready")
    assert worker.upload(b"id,name,email,status\n1,Ada,ada@example.com,active\n").status_code == 503
    assert list(root.iterdir()) == []
    worker.stop()
    worker.launch()
    wait_for(lambda: f"waiting for the storage: STORAGE_URI {root.as_uri()}" in worker.tail(), "it waits for it")
    checked = storage_command("check", environment)
    assert checked.returncode == 1
    assert "has no .storage-id" in checked.stderr
    root.rmdir()
    hidden.rename(root)
    wait_for(worker.ready, "ready again", timeout=60)
    assert storage_command("check", environment).returncode == 0
    worker.submit(b"id,name,email,status\n1,Ada,ada@example.com,active\n")


def storage_command(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "storage", name],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
