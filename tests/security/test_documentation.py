"""The sessions in docs/security.md are what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.secured import Guarded
from tests.support.sessions import sessions

SESSIONS = sessions("docs/security.md")

#: What differs from run to run.
VARYING = (
    (re.compile(r'"requestId":"[0-9a-f]{32}"'), '"requestId":"…"'),
    (re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z"), "…"),
    (re.compile(r'"actionId":"[0-9a-f]{24}"'), '"actionId":"…"'),
    (re.compile(r'"retryAfter":\d+'), '"retryAfter":…'),
)
KEY_ID = re.compile(r"\b[0-9a-f]{16}\b")

#: Stands for the page's account, so that the keys of other tests are not in its list.
ACCOUNT = "page"


def comparable(text: str) -> str:
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return KEY_ID.sub("an id", text).replace(ACCOUNT, "acme")


def test_the_page_has_sessions() -> None:
    assert [len(session) for session in SESSIONS] == [6, 6, 3, 6]


@pytest.mark.parametrize("session", SESSIONS, ids=["keys", "own keys", "tokens", "limits"])
def test_session_is_what_happens(guarded: Guarded, tmp_path: Path, session: list[tuple[str, str]]) -> None:
    """A session of the page is what happens."""
    environment = {**os.environ, **guarded.environment, "PYTHONPATH": str(ROOT), "AUDIT_LOG": "audit.jsonl"}
    made = ""
    for command, answer in session:
        ran = command.replace("localhost:3000", f"127.0.0.1:{guarded.worker.port}").replace("acme", ACCOUNT)
        ran = KEY_ID.sub(made or "unknown", ran.replace(".venv/bin/python", sys.executable))
        got = subprocess.run(
            ["bash", "-c", f"({ran}) 2>&1"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        if not made and (ids := KEY_ID.findall(got)):
            made = ids[0]
        assert comparable(got) == comparable(answer), command
