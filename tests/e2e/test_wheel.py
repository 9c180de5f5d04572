"""What is installed: a wheel without launcher, tests and benchmarks, which runs away from the checkout."""

from __future__ import annotations

import shutil
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environments import add_dependencies, run
from tests.support.files import contacts_csv
from tests.support.paths import ROOT
from tests.support.workers import Worker
from web.dashboard.assets import load_dashboard

#: The packages of a worker, and its client.
SHIPPED = {"agents", "app", "bulk_client", "tables", "web"}
#: What a checkout has beside what git keeps.
LOCAL = shutil.ignore_patterns(".*", "build", "data", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the source distribution of a copy of the checkout, made without an index."""
    source, built = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, source, ignore=LOCAL)
    build = f"from setuptools.build_meta import *; build_wheel({str(built)!r}); build_sdist({str(built)!r})"
    run(sys.executable, "-c", build, cwd=source)
    return built


@pytest.fixture(scope="module")
def python(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the wheel is, and beside it only what pip would install: the dependencies."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, symlinks=True)
    program = directory / "bin" / "python"
    [wheel] = distributions.glob("*.whl")
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", wheel)
    run(sys.executable, "-m", "pip", "--python", program, *install, cwd=directory)
    add_dependencies(directory)
    return program


def test_wheel_has_the_worker_alone(distributions: Path) -> None:
    [wheel] = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == SHIPPED


def test_sdist_has_the_worker_alone(distributions: Path) -> None:
    """Source distribution has the worker alone."""
    [sdist] = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        folders = {path.parts[1] for path in map(Path, archive.getnames()) if len(path.parts) > 2}
    assert {folder for folder in folders if not folder.endswith(".egg-info")} == SHIPPED


def test_wheel_is_what_is_imported(python: Path, tmp_path: Path) -> None:
    """The other tests of this file would show nothing if the checkout were found."""
    where = "import app, web, importlib.util as u; print(app.__file__, web.__file__, u.find_spec('stack'))"
    app, web, stack = run(python, "-c", where, cwd=tmp_path).split()
    assert all(Path(file).is_relative_to(python.parents[1]) for file in (app, web))
    assert stack == "None"


def test_wheel_offers_its_programs(python: Path, tmp_path: Path) -> None:
    assert "--web-port" in run(python, "-m", "faust", "-A", "app", "worker", "--help", cwd=tmp_path)
    assert "verify" in run(python, "-m", "app", "--help", cwd=tmp_path)
    assert run(python.parent / "bulk", "--version", cwd=tmp_path).startswith("bulk ")


@pytest.fixture
def installed(python: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Worker]:
    """A worker of the wheel."""
    worker = Worker(environment, tmp_path / "worker", python=python)
    yield worker.start()
    worker.kill()
    worker.client.close()


def test_wheel_imports_a_file(installed: Worker) -> None:
    """A worker of the wheel does the main job, and serves all of the dashboard: its version is the digest of it all."""
    action = installed.submit(contacts_csv("a,Ada,ada@example.com,active", "b,Bo,bo@example.com,active"))
    assert installed.wait_ended(action)["successCount"] == 2
    assert "<html" in installed.client.get("/docs").text
    assert f'"assets/{load_dashboard().version}/app.js"' in installed.client.get("/").text
    assert installed.stop() == 0
