"""`python -m stack up`, as people and make start it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from stack import Stack
from stack.services import SERVICES
from tests.support.paths import ROOT
from tests.support.waiting import wait_for


class Launcher:
    """The launcher as a process of its own, its lines collected in a file."""

    def __init__(self, directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.directory = directory
        self._output = directory / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack", "up", "--dir", str(directory / "data"), *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, text: str) -> None:
        wait_for(lambda: text in self.output or self.process.poll() is not None, f"it says {text!r}")
        assert text in self.output, self.output

    def ends(self) -> int:
        return self.process.wait(40)

    def service(self, name: str) -> psutil.Process:
        return psutil.Process(json.loads((self.directory / "data" / name / "pid.json").read_text())["pid"])


Launch = Callable[..., Launcher]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    started: list[Launcher] = []

    def start(*arguments: str, environment: dict[str, str] | None = None) -> Launcher:
        started.append(Launcher(tmp_path, *arguments, environment=environment))
        return started[-1]

    yield start
    for launcher in started:
        launcher.process.kill()
        launcher.process.wait()


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


REDIS_ONLY = ("--port-base", "auto", "--services", "redis")


def test_command_gets_its_services(launch: Launch) -> None:
    """The command finds its services, and its exit code is passed on."""
    ping = "import os, redis, sys; sys.exit(7 if redis.Redis.from_url(os.environ['REDIS_URI']).ping() else 1)"
    launcher = launch(*REDIS_ONLY, "--", sys.executable, "-c", ping)
    assert launcher.ends() == 7
    assert "redis        ready at 127.0.0.1:" in launcher.output
    assert not (launcher.directory / "data" / "redis" / "pid.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_reaches_the_command(launch: Launch, number: signal.Signals) -> None:
    """A signal is passed to the command, which may end as it likes."""
    script = f"trap 'echo got it; exit 9' {number.name.removeprefix('SIG')}; echo waiting; while :; do sleep 0.1; done"
    launcher = launch(*REDIS_ONLY, "--", "sh", "-c", script)
    launcher.says("waiting")
    service = launcher.service("redis")
    launcher.process.send_signal(number)
    assert launcher.ends() == 9
    assert "got it" in launcher.output
    assert gone(service)


def test_services_from_environment(launch: Launch) -> None:
    """The services may be chosen by the environment."""
    launcher = launch("--port-base", "auto", "--", "true", environment={"STACK": "redis"})
    assert launcher.ends() == 0
    assert sorted(path.name for path in (launcher.directory / "data").iterdir()) == ["redis"]


def test_killed_command_exit_code(launch: Launch) -> None:
    """A command killed by a signal has the exit code that a shell would give it."""
    assert launch(*REDIS_ONLY, "--", "sh", "-c", "kill -9 $$").ends() == 128 + 9


def test_serves_until_ctrl_c(launch: Launch) -> None:
    """Without a command it serves until Ctrl-C, and leaves nothing."""
    launcher = launch(*REDIS_ONLY)
    launcher.says("serving until Ctrl-C")
    service = launcher.service("redis")
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.ends() == 0
    assert gone(service)


def test_killed_launcher_leaves_nothing(launch: Launch) -> None:
    """After kill -9 of the launcher no child is left, and the next start works."""
    arguments = ("--port-base", "auto", "--services", "mongo,redis")
    launcher = launch(*arguments, "--", "sh", "-c", "echo command $$; exec sleep 600")
    launcher.says("command ")
    wait_for(lambda: launcher.output.partition("command ")[2].endswith("\n"), "the command has said all")
    command = psutil.Process(int(launcher.output.partition("command ")[2]))
    children = [launcher.service("mongo"), launcher.service("redis"), command]
    launcher.process.kill()
    wait_for(lambda: all(gone(child) for child in children), "no child is left")
    assert launch(*arguments, "--", "true").ends() == 0


def test_background_processes_end(launch: Launch) -> None:
    """What the command leaves in the background ends with the services."""
    launcher = launch(*REDIS_ONLY, "--", "sh", "-c", "setsid sleep 600 & echo background $!")
    assert launcher.ends() == 0
    background = int(launcher.output.partition("background ")[2].split()[0])
    assert not psutil.pid_exists(background) or gone(psutil.Process(background))


def test_running_redis_is_used(launch: Launch, tmp_path: Path) -> None:
    """A Redis that answers is used, and left running."""
    with Stack(tmp_path / "own", ["redis"], ports="free") as stack:
        launcher = launch("--services", "redis", "--", "sh", "-c", "echo $REDIS_URI", environment=stack.environment())
        assert launcher.ends() == 0
        assert f"already running at 127.0.0.1:{stack['redis'].port}" in launcher.output
        assert stack["redis"].uri in launcher.output
        with redis.Redis.from_url(stack["redis"].uri) as client:
            assert client.ping()


def test_occupied_port_is_one_line(launch: Launch) -> None:
    """An occupied port is one clear line and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        launcher = launch("--services", "kafka", "--", "true", environment={"KAFKA_BROKER": f"127.0.0.1:{port}"})
        assert launcher.ends() == 2
    (line,) = launcher.output.splitlines()
    assert line.startswith(f"error: 127.0.0.1:{port} is occupied by something that is not kafka")


def test_dead_service_shows_its_log(launch: Launch) -> None:
    """A service that dies while serving is told with the end of its log."""
    launcher = launch(*REDIS_ONLY)
    launcher.says("serving until Ctrl-C")
    launcher.service("redis").kill()
    assert launcher.ends() == 1
    assert "redis ended by itself (exit code -9)" in launcher.output
    assert "Ready to accept connections" in launcher.output


def test_misspelt_service_is_one_line(launch: Launch) -> None:
    """A misspelt service is one clear line."""
    launcher = launch("--services", "reddis")
    assert launcher.ends() == 1
    services = ", ".join(SERVICES)
    assert launcher.output == f"error: there is no service 'reddis'; there are: {services}\n"
