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


def test_the_command_finds_its_services_and_its_exit_code_is_passed_on(launch: Launch) -> None:
    ping = "import os, redis, sys; sys.exit(7 if redis.Redis.from_url(os.environ['REDIS_URI']).ping() else 1)"
    launcher = launch(*REDIS_ONLY, "--", sys.executable, "-c", ping)
    assert launcher.ends() == 7
    assert "redis        ready at 127.0.0.1:" in launcher.output
    assert not (launcher.directory / "data" / "redis" / "pid.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_to_the_command_which_may_end_as_it_likes(launch: Launch, number: signal.Signals) -> None:
    script = f"trap 'echo got it; exit 9' {number.name.removeprefix('SIG')}; echo waiting; while :; do sleep 0.1; done"
    launcher = launch(*REDIS_ONLY, "--", "sh", "-c", script)
    launcher.says("waiting")
    service = launcher.service("redis")
    launcher.process.send_signal(number)
    assert launcher.ends() == 9
    assert "got it" in launcher.output
    assert gone(service)


def test_the_services_may_be_chosen_by_the_environment(launch: Launch) -> None:
    launcher = launch("--port-base", "auto", "--", "true", environment={"STACK": "redis"})
    assert launcher.ends() == 0
    assert sorted(path.name for path in (launcher.directory / "data").iterdir()) == ["redis"]


def test_a_command_killed_by_a_signal_counts_as_in_a_shell(launch: Launch) -> None:
    assert launch(*REDIS_ONLY, "--", "sh", "-c", "kill -9 $$").ends() == 128 + 9


def test_without_a_command_it_serves_until_ctrl_c_and_leaves_nothing(launch: Launch) -> None:
    launcher = launch(*REDIS_ONLY)
    launcher.says("serving until Ctrl-C")
    service = launcher.service("redis")
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.ends() == 0
    assert gone(service)


def test_kill_9_of_the_launcher_leaves_no_child_and_the_next_start_works(launch: Launch) -> None:
    arguments = ("--port-base", "auto", "--services", "mongo,redis")
    launcher = launch(*arguments, "--", "sh", "-c", "echo command $$; exec sleep 600")
    launcher.says("command ")
    wait_for(lambda: launcher.output.partition("command ")[2].endswith("\n"), "the command has said all")
    command = psutil.Process(int(launcher.output.partition("command ")[2]))
    children = [launcher.service("mongo"), launcher.service("redis"), command]
    launcher.process.kill()
    wait_for(lambda: all(gone(child) for child in children), "no child is left")
    assert launch(*arguments, "--", "true").ends() == 0


def test_what_the_command_leaves_in_the_background_ends_with_the_services(launch: Launch) -> None:
    launcher = launch(*REDIS_ONLY, "--", "sh", "-c", "setsid sleep 600 & echo background $!")
    assert launcher.ends() == 0
    background = int(launcher.output.partition("background ")[2].split()[0])
    assert not psutil.pid_exists(background) or gone(psutil.Process(background))


def test_a_redis_that_answers_is_used_and_left_running(launch: Launch, tmp_path: Path) -> None:
    with Stack(tmp_path / "own", ["redis"], ports="free") as stack:
        launcher = launch("--services", "redis", "--", "sh", "-c", "echo $REDIS_URI", environment=stack.environment())
        assert launcher.ends() == 0
        assert f"already running at 127.0.0.1:{stack['redis'].port}" in launcher.output
        assert stack["redis"].uri in launcher.output
        with redis.Redis.from_url(stack["redis"].uri) as client:
            assert client.ping()


def test_an_occupied_port_is_one_clear_line_and_exit_code_2(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        launcher = launch("--services", "kafka", "--", "true", environment={"KAFKA_BROKER": f"127.0.0.1:{port}"})
        assert launcher.ends() == 2
    (line,) = launcher.output.splitlines()
    assert line.startswith(f"error: 127.0.0.1:{port} is occupied by something that is not kafka")


def test_a_service_that_dies_while_serving_is_told_with_the_end_of_its_log(launch: Launch) -> None:
    launcher = launch(*REDIS_ONLY)
    launcher.says("serving until Ctrl-C")
    launcher.service("redis").kill()
    assert launcher.ends() == 1
    assert "redis ended by itself (exit code -9)" in launcher.output
    assert "Ready to accept connections" in launcher.output


def test_a_misspelt_service_is_one_clear_line(launch: Launch) -> None:
    launcher = launch("--services", "reddis")
    assert launcher.ends() == 1
    assert launcher.output == "error: there is no service 'reddis'; there are: kafka, mongo, redis, s3, gateway\n"
