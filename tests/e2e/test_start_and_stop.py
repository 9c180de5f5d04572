"""How a worker starts and stops."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stack.addresses import free_port
from tests.support.logs import lines_of
from tests.support.paths import ROOT
from tests.support.waiting import wait_for
from tests.support.workers import Worker

StartWorker = Callable[..., Worker]


def _exit_code(worker: Worker) -> int | None:
    assert worker.process is not None
    return worker.process.wait(timeout=30)


def test_port_in_use_ends_in_one_line(start_worker: StartWorker) -> None:
    """A worker whose port is in use says so in one line, and ends."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        worker = start_worker(wait=False, PORT=str(port))
        assert _exit_code(worker) == 2
    assert f"port {port} is in use" in worker.tail()
    assert "Traceback" not in worker.tail()


def test_waiting_worker_can_be_stopped(start_worker: StartWorker) -> None:
    """A worker waits for what it depends on, and can be stopped meanwhile."""
    worker = start_worker(wait=False, REDIS_URI=f"127.0.0.1:{free_port()}")
    wait_for(lambda: "waiting for Redis" in worker.tail(), "the worker says what it waits for")
    assert worker.running
    worker.stop()
    assert "Traceback" not in worker.tail()


def test_wrong_partitions_are_refused(start_worker: StartWorker) -> None:
    """A worker refuses topics with another number of partitions."""
    first = start_worker()
    assert first.stop() == 0
    second = start_worker(wait=False, TOPIC_PARTITIONS="5")
    assert _exit_code(second) == 2
    assert "TOPIC_PARTITIONS says 5" in second.tail()


def test_worker_waits_for_its_storage(start_worker: StartWorker, environment: dict[str, str], tmp_path: Path) -> None:
    """A worker waits for its own storage.

    With an empty directory in its place it is not ready, takes nothing, and says which setting it is about.
    """
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
    worker.wait_ready()
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


def test_worker_is_not_open_by_omission(start_worker: StartWorker) -> None:
    """A worker is not open to others by omission."""
    worker = start_worker(wait=False, HOST="0.0.0.0")
    assert _exit_code(worker) == 2
    assert "this worker cannot start: whoever reaches 0.0.0.0 could do everything: set AUTH_MODE" in worker.tail()


def test_worker_is_open_when_told_so(start_worker: StartWorker) -> None:
    """A worker is open to others when told so."""
    worker = start_worker(HOST="0.0.0.0", AUTH_MODE="none")
    assert "whoever reaches 0.0.0.0 may do everything: AUTH_MODE is none" in worker.log.read_text()


def test_bad_directory_is_one_line(start_worker: StartWorker, tmp_path: Path) -> None:
    """A directory that cannot be made is one line."""
    (tmp_path / "file").write_text("in the way")
    worker = start_worker(wait=False)
    worker.kill()
    worker.environment["DATA_DIR"] = str(tmp_path / "file" / "data")
    worker.log.unlink()
    worker.launch()
    assert _exit_code(worker) == 2
    [line] = worker.log.read_text().splitlines()
    assert "this worker cannot start: DATA_DIR cannot be used: Not a directory: " in line


def test_mistyped_name_stops_the_start(tmp_path: Path) -> None:
    """A mistyped name in the file stops the start. AUTH_MOD=required would leave the API open without a word."""
    (tmp_path / ".env").write_text("AUTH_MOD=required\n")
    command = [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stderr.strip() == "Setting AUTH_MOD in .env is unknown: did you mean AUTH_MODE?"


def test_the_log_of_a_worker_is_short(start_worker: StartWorker) -> None:
    """A page for the start at most, one line for each thing that happens, and nothing while it is idle."""
    worker = start_worker(STALL_TIMEOUT="5")
    started = worker.log.read_text().splitlines()
    assert len(started) <= 8, started
    assert any("this worker is ready" in line for line in started)
    action_id = worker.submit(b"id,name,email,status\n1,Ada,ada@example.com,active\n2,Bo,nobody,active\n")
    worker.wait_ended(action_id)
    assert worker.client.post("/bulk-actions").status_code == 400
    told = worker.log.read_text().splitlines()[len(started) :]
    said = {line["event"]: line for line in lines_of(worker.log)}
    whose = {"action": action_id, "account": "default", "rows": 2}
    assert said["upload stored"].items() >= whose.items()
    assert said["action started"].items() >= whose.items()
    counts = {"status": "COMPLETED", "success": 1, "failure": 1, "skipped": 0}
    assert said["action ended"].items() >= {**whose, **counts}.items()
    assert said["audit"]["code"] == "FILE_REQUIRED"
    # Beside these a line for each request.
    told = [line for line in lines_of(worker.log)[len(started) :] if line["event"] != "request"]
    assert len(told) <= 6, told
    before = worker.log.read_text()
    deadline = time.monotonic() + 12
    wait_for(lambda: time.monotonic() > deadline, "an idle while")
    assert worker.log.read_text() == before


def test_all_of_faust_can_be_had_back(start_worker: StartWorker) -> None:
    log = start_worker(LOG_FAUST="verbose").log.read_text()
    assert "+ƒaµS†" in log
    assert "[^---Recovery]" in log


def test_start_is_one_rebalance(start_worker: StartWorker) -> None:
    """The first worker has all its topics at once: none of them is missed, or subscribed to by another rebalance."""
    worker = start_worker()
    assert "missing topic" not in worker.log.read_text()
    assert "\nbulk_kafka_rebalances_total 1.0\n" in worker.client.get("/metrics").text
    [own] = worker.client.get("/workers").json()["workers"]
    assert set(own["partitions"].values()) == {4}
