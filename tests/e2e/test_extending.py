"""An entity of another package, as the documentation shows it: built, installed beside a worker, and imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.support.assertions import assert_verified
from tests.support.paths import ROOT
from tests.support.workers import Worker

PAGE = (ROOT / "docs/extending.md").read_text()
ROWS = """\
plate,kind,driver,seats,price,currency,inspectedOn,electric
b-ac 123,Truck,ada@example.com,2,"12.500,50",EUR,31.1.2026,yes
B-AC124,van,,4,,,,
B-AC125,van,,5,,,,
AC125,van,,,,,,
"""


def block(language: str) -> str:
    """The first block of a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the package of the page is installed, and nothing else."""
    source, target = tmp_path_factory.mktemp("acme-vehicles"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(block("toml"))
    (source / "acme_vehicles.py").write_text(block("python"))
    pip(target, source)
    return target


def pip(target: Path, source: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def extended(installed: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Worker]:
    """A worker beside which the package is installed."""
    path = os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH"))))
    worker = Worker({**environment, "PYTHONPATH": path}, tmp_path / "worker")
    yield worker.start()
    worker.kill()
    worker.client.close()


def test_installed_entity_is_imported(extended: Worker, environment: dict[str, str]) -> None:
    """An entity that is installed is listed, described, imported, and verified like any other."""
    client = extended.client
    assert [entity["entityType"] for entity in client.get("/entities").json()][-1] == "Vehicle"
    schema = client.get("/entities/vehicle").json()
    assert (schema["key"], schema["required"]) == ("plate", ["plate", "kind"])
    assert ROWS.startswith(client.get("/entities/Vehicle/template.csv").text.strip())
    action = extended.wait_ended(extended.submit(ROWS.encode(), entityType="Vehicle"))
    assert (action["status"], action["createdCount"], action["failureCount"]) == ("COMPLETED", 2, 2)
    failed = extended.records(action["actionId"], status="FAILED")
    assert [(row["code"], row["message"]) for row in failed] == [
        ("INVALID_VALUE", 'seats is not valid, seats come in pairs: "5"'),
        ("INVALID_PLATE", 'plate is not a number plate such as B-AC123: "AC125"'),
    ]
    with pymongo.MongoClient[Any](environment["MONGO_DB_URI"]) as database:
        [truck] = database.get_default_database()["vehicles"].find({"kind": "truck"})
    assert (truck["_id"], truck["price"].to_decimal(), truck["electric"]) == ("default:B-AC123", 12500.5, True)
    assert_verified(extended.environment, action["actionId"])


def test_unusable_entity_ends_the_start(environment: dict[str, str], tmp_path: Path) -> None:
    """A package that cannot be used ends the start of a worker with a line that names it."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "pyproject.toml").write_text(block("toml"))
    (source / "acme_vehicles.py").write_text(block("python").replace('collection="vehicles"', 'collection="contacts"'))
    pip(target, source)
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "worker"],
        env={**os.environ, **environment, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "The entity acme_vehicles:VEHICLE of acme-vehicles: the collection contacts is Contact's."
    )
    assert "Traceback" not in done.stderr
