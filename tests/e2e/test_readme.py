"""The session in the README is what happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.workers import Worker

README = ROOT / "README.md"

#: What differs from run to run.
VARYING = (
    (re.compile(r'"requestId":"[0-9a-f]{32}"'), '"requestId":"…"'),
    (re.compile(r'"actionId":"[0-9a-f]{24}"'), '"actionId":"…"'),
    (re.compile(r'At":"[-0-9T:.]+Z"'), 'At":"…"'),
    (re.compile(r'"rowsPerSecond":[0-9.]+'), '"rowsPerSecond":…'),
    (re.compile(r'"(created|updated)Count":\d'), '"…Count":…'),
    (re.compile(r'"code":"(CREATED|UPDATED)"'), '"code":"…"'),
)

ACTION_ID = re.compile(r"[0-9a-f]{24}(?![0-9a-f])")


def steps() -> list[tuple[str, str]]:
    """The commands of the console blocks, each with the answer below it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, _, answer = part.partition("\n")
            found.append((command, answer.strip()))
    return found


def comparable(text: str) -> str:
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return text


def test_the_session_in_the_readme_is_what_happens(worker: Worker, tmp_path: Path) -> None:
    written = made = ""
    assert len(steps()) >= 6
    for command, answer in steps():
        ran = command.replace("localhost:3000", f"127.0.0.1:{worker.port}").replace(written or "\0", made)
        got = subprocess.run(
            ["bash", "-c", ran], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
        ).stdout
        if not made and (ids := ACTION_ID.findall(got)):
            written, made = ACTION_ID.findall(answer)[0], ids[0]
            worker.wait_ended(made)
        assert comparable(got).replace(made or "\0", written) == comparable(answer), command
