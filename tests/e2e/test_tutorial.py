"""The tutorial's way from nothing to a server and a command; its sessions run in test_readme.py.

What is fetched from elsewhere is here already: the repository is this checkout as it was committed, and dependencies
are those of this environment, which every run of all tests installs as a user would.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from stack.addresses import free_port
from tests.support.environments import add_dependencies, outside, run
from tests.support.paths import ROOT
from tests.support.sessions import scripts
from tests.support.waiting import wait_for

SERVE, COMMAND, PACKAGE, ELSEWHERE, _ = scripts("docs/tutorial/first-import.md")
REPOSITORY = "https://github.com/bulk-operations/bulk-operations.git"


def _git(*settings: str) -> dict[str, str]:
    """Settings of git: what is fetched from where, and that it may belong to another user than that of the tests."""
    given = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, setting in enumerate(settings):
        name, _, value = setting.partition("=")
        given |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return given


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clone that the first command makes, with the environment that the third would make in it."""
    directory = tmp_path_factory.mktemp("tutorial")
    clone, enter, _ = SERVE
    run("bash", "-ec", clone, cwd=directory, **_git(f"url.{ROOT.as_uri()}.insteadOf={REPOSITORY}", "safe.directory=*"))
    made = directory / enter.removeprefix("cd ")
    (made / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith("."):
            (made / ".venv" / part.name).symlink_to(part)
    (made / ".venv/.ready").touch()
    return made


def test_tutorial_serves(checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """A clone serves the page and says that it is ready; Ctrl-C ends it."""
    *_, serve = SERVE
    port, log = free_port(), tmp_path / "log"
    where = {**outside(), **environment, "PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", serve], cwd=checkout, env=where, stdout=output, stderr=output, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

            def ready() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return '"status":"UP"' in client.get("/ready").text
                except httpx.TransportError:
                    return False

            wait_for(ready, "it is ready", timeout=120)
            assert "<html" in client.get("/").text
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_tutorial_finds_the_command(checkout: Path) -> None:
    assert run("bash", "-ec", "\n".join(COMMAND), cwd=checkout).startswith("bulk ")


def test_tutorial_installs_elsewhere(checkout: Path, tmp_path: Path) -> None:
    """The package that is made in the clone is enough for the command."""
    run("bash", "-ec", "\n".join(PACKAGE), cwd=checkout)
    [wheel] = (checkout / "dist").glob("*.whl")
    shutil.copy(wheel, tmp_path)
    create, install, look = ELSEWHERE
    run("bash", "-ec", create, cwd=tmp_path)
    run("bash", "-ec", install, cwd=tmp_path, PIP_NO_INDEX="1", PIP_NO_DEPS="1")
    add_dependencies(tmp_path / "bulk")
    assert run("bash", "-ec", look, cwd=tmp_path).startswith("bulk ")
    where = "import bulk_client; print(bulk_client.__file__)"
    assert str(tmp_path) in run(tmp_path / "bulk/bin/python", "-c", where, cwd=tmp_path)
