"""The sessions in the README and in the pages for beginners are what happens."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command_line import environment
from tests.support.sessions import sessions
from tests.support.workers import Worker

PAGES = (
    "README.md",
    "docs/tutorial/first-import.md",
    *(f"docs/reference/{name}.md" for name in ("files", "action-types", "results", "command-line")),
)

#: What differs from run to run; the sessions share a database with other tests, so a record may be there already.
VARYING = (
    (re.compile(r'"requestId":"[0-9a-f]{32}"'), '"requestId":"…"'),
    (re.compile(r'"code":"(CREATED|UPDATED|UNCHANGED)"'), '"code":"…"'),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"), "…"),
)
#: Commands that only look: what they show may come a moment later.
LOOKS = re.compile(r"/bulk-actions/|/dead-letters\?|^bulk (show|deadletters list) ")
ACTION_ID = re.compile(r"\b[0-9a-f]{24}\b")

#: How long a person may have to ask again for what a page shows, seconds.
PATIENCE = 60


def comparable(text: str) -> str:
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return text.strip()


@pytest.mark.parametrize("page", PAGES)
def test_sessions_are_what_happens(
    worker: Worker, shared_environment: dict[str, str], tmp_path: Path, page: str
) -> None:
    """Each command answers as the page shows; one that only looks may be asked again for a while."""
    ids: dict[str, str] = {}
    places = {
        "localhost:3000": f"127.0.0.1:{worker.port}",
        "data/uploads": shared_environment["STORAGE_URI"].removeprefix("file://"),
    }
    shown = [step for session in sessions(page) for step in session]
    assert len(shown) >= 4
    for command, answer in shown:
        ran = ACTION_ID.sub(lambda match: ids.get(match[0], match[0]), command)
        for place, here in places.items():
            ran = ran.replace(place, here)
        looks = LOOKS.search(command)
        deadline = time.monotonic() + PATIENCE
        while True:
            got = subprocess.run(
                ["bash", "-c", ran],
                cwd=tmp_path,
                env=environment(worker),
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            ).stdout
            for written, made in zip(ACTION_ID.findall(answer), ACTION_ID.findall(got), strict=False):
                ids.setdefault(written, made)
            expected = ACTION_ID.sub(lambda match: ids.get(match[0], match[0]), comparable(answer))
            if comparable(got) == expected or not looks or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert comparable(got) == expected, command
