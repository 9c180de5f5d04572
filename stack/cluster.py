"""Several workers behind the gateway, as `make cluster` runs them.

A worker that ends is shown and started again, as containers would be; but one that ends before it was ever ready has a
fault that starting again does not mend, and ends the cluster.
"""

from __future__ import annotations

import http.client
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stack.addresses import LOOPBACK
from stack.errors import StackError
from stack.process import Child, tail

Report = Callable[[str, str], None]

#: Between two looks, and before a worker that was ready is started again, seconds.
_POLL, _PAUSE = 0.2, 1.0
#: Longer than a worker takes that has SHUTDOWN_TIMEOUT at its default.
_STOP_WITHIN = 40.0


class ClusterWorker:
    """One worker: its port, its directory, its process."""

    def __init__(self, name: str, port: int, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self.log = directory / "log"
        self.ready = False
        self.child: Child | None = None
        self._environment = {**environment, "PORT": str(port), "DATA_DIR": str(directory / "data")}
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start the process; `ready` tells when it can work."""
        self.ready = False
        self.started = time.monotonic()
        command = [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"]
        with self.log.open("ab") as output:
            self.position = output.tell()
            self.child = Child(command, output=output, environment=self._environment)

    def answers(self) -> bool:
        """Ask whether it can work now."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def run(
    ports: Sequence[int],
    directory: Path,
    environment: Mapping[str, str],
    report: Report,
    stopped: Callable[[], bool],
) -> None:
    """Run a worker on each port until `stopped` says so; all are stopped when this returns.

    Raises StackError when a worker ends before it was ready.
    """
    workers = [
        ClusterWorker(f"worker-{number}", port, directory / f"worker-{number}", environment)
        for number, port in enumerate(ports, 1)
    ]
    try:
        for worker in workers:
            worker.start()
            report(worker.name, f"starting at port {worker.port}, log {worker.log}")
        while not stopped():
            for worker in workers:
                _look_after(worker, report, stopped)
            time.sleep(_POLL)
    finally:
        _stop(workers, report)


def _look_after(worker: ClusterWorker, report: Report, stopped: Callable[[], bool]) -> None:
    code = worker.child.poll() if worker.child else None
    if code is None:
        if not worker.ready and worker.answers():
            worker.ready = True
            report(worker.name, f"ready after {time.monotonic() - worker.started:.1f} s")
        return
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if not worker.ready:
        raise StackError(
            f"{worker.name} {how} before it was ready; its log ends with\n{tail(worker.log, worker.position)}"
        )
    report(worker.name, f"{how}; starting it again")
    resumes = time.monotonic() + _PAUSE
    while time.monotonic() < resumes and not stopped():
        time.sleep(_POLL)
    worker.start()


def _stop(workers: Sequence[ClusterWorker], report: Report) -> None:
    running = [(worker, worker.child) for worker in workers if worker.child and worker.child.poll() is None]
    for _, child in running:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_WITHIN
    for worker, child in running:
        polite = child.wait(max(0.0, deadline - time.monotonic())) is not None
        if not polite:
            child.kill()
        report(worker.name, "stopped" if polite else f"killed: it did not stop within {_STOP_WITHIN:.0f} s")
