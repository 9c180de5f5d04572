"""Services that may be killed, apart from those of the other tests, and the scenes of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Options, Stack
from stack.samples import Sample
from tests.support.figures import figures
from tests.support.namespaces import namespace
from tests.support.scenes import QUICK, MakeScene, Scene


@pytest.fixture(scope="session")
def durable_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Services that are killed themselves, and keep their data."""
    # A database that is killed again and again never lives until its code is compiled well.
    options = Options(mongo_for_minutes=True)
    directory = tmp_path_factory.mktemp("durable")
    with Stack(directory, services=("kafka", "mongo", "redis"), ports="free", options=options) as stack:
        yield stack


@pytest.fixture
def make_scene(services: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeScene]:
    """Make the scene of a test; keyword arguments are settings of all its workers."""
    yield from _make_scenes(services, tmp_path, request, rows=30_000)


@pytest.fixture
def make_durable_scene(durable_services: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeScene]:
    """The same on services that may be killed."""
    # Fewer rows: a database in a file takes four times as long.
    yield from _make_scenes(durable_services, tmp_path, request, rows=20_000)


def _make_scenes(services: Stack, directory: Path, request: pytest.FixtureRequest, *, rows: int) -> Iterator[MakeScene]:
    found = figures(request.config)
    scenes: list[Scene] = []

    def make(*, rows: int = rows, seed: int = 1, **settings: str) -> Scene:
        environment = {**namespace(services, directory), **QUICK, **settings}
        scenes.append(Scene(services, directory, environment, Sample(rows, seed=seed), request.node.name, found))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()
