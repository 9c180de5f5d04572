"""`python -m stack cluster`, as `make cluster` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from stack import Stack
from stack.addresses import free_port, is_listening
from stack.gateway import NGINX
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.waiting import wait_for


class Cluster:
    """The command as a process, with the services of the tests."""

    def __init__(self, services: Stack, directory: Path, **settings: str) -> None:
        self.gateway, self.first_port = f"http://127.0.0.1:{free_port()}", free_port(count=2)
        self._output = directory / "output"
        options = ("--workers", "2", "--first-port", str(self.first_port), "--dir", str(directory / "data"))
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack", "cluster", *options],
                cwd=ROOT,
                env={**os.environ, **namespace(services, directory), "GATEWAY_URI": self.gateway, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, pattern: str, times: int = 1) -> None:
        wait_for(
            lambda: len(re.findall(pattern, self.output)) >= times or self.process.poll() is not None,
            f"it says {pattern!r}; it said\n{self.output}",
        )
        assert len(re.findall(pattern, self.output)) >= times, self.output


@pytest.fixture
def clusters() -> Iterator[list[Cluster]]:
    if (problem := NGINX.problem()) and not os.environ.get("CI"):
        pytest.skip(f"no gateway: {NGINX.command}: {problem}")
    started: list[Cluster] = []
    yield started
    for cluster in started:
        cluster.process.kill()
        cluster.process.wait()


def test_cluster_replaces_dead_worker(services: Stack, tmp_path: Path, clusters: list[Cluster]) -> None:
    """A cluster serves, replaces a worker that dies, and stops whole."""
    clusters.append(cluster := Cluster(services, tmp_path, BROKER_SESSION_TIMEOUT="6"))
    cluster.says(r"worker-\d +ready after", times=2)
    assert httpx.get(f"{cluster.gateway}/ready").json()["status"] == "UP"

    [doomed] = [
        process
        for process in psutil.Process(cluster.process.pid).children(recursive=True)
        if any(at.laddr.port == cluster.first_port for at in process.net_connections() if at.status == "LISTEN")
    ]
    doomed.kill()
    cluster.says("worker-1 +killed by SIGKILL; starting it again")
    assert httpx.get(f"{cluster.gateway}/health").status_code == 200
    wait_for(lambda: is_listening("127.0.0.1", cluster.first_port), "the worker serves again")

    children = psutil.Process(cluster.process.pid).children(recursive=True)
    assert len(children) == 3, "the gateway and two workers; the services were there before"
    cluster.process.send_signal(signal.SIGINT)
    assert cluster.process.wait(60) == 0
    psutil.wait_procs(children, timeout=60)
    assert not any(child.is_running() for child in children), cluster.output
    assert not is_listening("127.0.0.1", cluster.first_port)
    assert all(instance.alive() for instance in services)


def test_failed_start_ends_cluster(services: Stack, tmp_path: Path, clusters: list[Cluster]) -> None:
    """A worker that cannot start ends the cluster with what it said."""
    clusters.append(cluster := Cluster(services, tmp_path, BATCH_SIZE="none"))
    assert cluster.process.wait(60) == 1
    assert "before it was ready" in cluster.output
    assert "Setting BATCH_SIZE is wrong" in cluster.output
