"""The producers that the how-to shows, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stack.downloads import LIBRARY, fetch
from stack.errors import Cancellation
from stack.services import KAFKA
from tests.support.assertions import assert_verified
from tests.support.paths import ROOT
from tests.support.workers import Worker

PAGE = (ROOT / "docs/how-to/rows-over-kafka.md").read_text()

#: The parts of the page that are a run each, with the rows that they send.
RUNS = {"With Python": 2500, "With the console producer": 3, "From Kafka Connect": 2}


def blocks(title: str) -> list[tuple[str, str]]:
    """The code of a part of the page: languages and texts, in order."""
    [part] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```(\w+)\n(.*?)^```", part, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the command of Kafka's distribution that the page names."""
    [program] = KAFKA.programs
    assert program.download is not None
    jars = fetch(program.download, LIBRARY, Cancellation())
    directory = tmp_path_factory.mktemp("bin")
    command = directory / "kafka-console-producer.sh"
    command.write_text(f'#!/bin/sh\nexec java -cp "{jars}/*" org.apache.kafka.tools.ConsoleProducer "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return directory


@pytest.mark.parametrize("title", list(RUNS))
def test_examples_run(worker: Worker, commands: Path, tmp_path: Path, title: str) -> None:
    """Each sends its rows, and its action ends with all of them written."""
    places = {
        "localhost:3000": f"127.0.0.1:{worker.port}",
        "localhost:9092": worker.environment["KAFKA_BROKER"].partition("://")[2],
    }
    programs = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    path = os.pathsep.join([str(commands), os.environ["PATH"]])
    for language, text in blocks(title):
        if language not in programs:
            continue
        for place, here in places.items():
            text = text.replace(place, here)
        done = subprocess.run(
            [*programs[language], text],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    action_id = json.loads((tmp_path / "opened.json").read_text())["actionId"]
    ended = worker.wait_ended(action_id)
    assert (ended["status"], ended["totalCount"], ended["successCount"]) == ("COMPLETED", RUNS[title], RUNS[title])
    assert worker.dead_letters(actionId=action_id) == []
    assert_verified(worker.environment, action_id)


def test_every_example_is_run() -> None:
    """No part of the page has code that is not run."""
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert [title for title in titles if any(language != "properties" for language, _ in blocks(title))] == list(RUNS)
