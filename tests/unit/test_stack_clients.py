"""Programs that tests use beside the services: installed, downloaded, or named with what they take."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack import __main__, clients, downloads
from stack.clients import Client
from stack.downloads import Download
from stack.errors import Cancellation, StackError
from stack.tools import Tool
from tests.support.installed import provided

#: Of a package that is not to be had.
NOWHERE = Client("browser", (Tool("no-such-browser", package="no-such-package", brew="no-such-package"),))


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "can_install", lambda: False)


def test_client_of_the_system_is_found() -> None:
    """A program of the operating system is where it is, and has no problem."""
    name = Path(sys.executable).name
    client = Client("python", (dataclasses.replace(NOWHERE.tools[0], command=name),))
    assert client.problem() is None
    assert client.provide(Cancellation()).name == name


def test_client_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is downloaded is there afterwards, also without the program that downloads."""
    monkeypatch.setattr(clients, "LIBRARY", tmp_path)
    built: list[Path] = []

    def build(directory: Path, _log: Path, _cancellation: Cancellation) -> None:
        built.append(directory)

    def client(*tools: Tool) -> Client:
        return Client("axe", download=Download("axe", (), tools, build))

    told: list[str] = []
    first = client().provide(Cancellation(), lambda name, text: told.append(f"{name} {text}"))
    assert client(*NOWHERE.tools).problem() is None
    assert client(*NOWHERE.tools).provide(Cancellation()) == first
    assert len(built) == 1 and told == ["axe downloading (only this once)"]


def test_missing_client_is_named() -> None:
    """One that cannot be had is named with the command that installs it."""
    assert "no-such-browser: missing; install it with: " in (NOWHERE.problem() or "")
    with pytest.raises(StackError, match=r"no-such-browser: missing; .*no-such-package"):
        NOWHERE.provide(Cancellation())


def test_missing_client_skips_outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a test is skipped, and fails in CI."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser: no-such-browser: missing"):
        provided(NOWHERE)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(StackError, match="missing"):
        provided(NOWHERE)


def test_command_names_missing_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command goes on without what cannot be had, and fails in CI."""
    monkeypatch.setattr(__main__, "CLIENTS", (NOWHERE,))
    monkeypatch.setattr(__main__, "_Signals", lambda _cancellation: None)
    monkeypatch.delenv("CI", raising=False)
    assert CliRunner().invoke(__main__.cli, ["clients"]).exit_code == 0
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(__main__, "_Signals", lambda _cancellation: type("Signals", (), {"first": None}))
    assert CliRunner().invoke(__main__.cli, ["clients"]).exit_code == 1
