"""The command ``bulk`` as a process, as a person or a script would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.workers import Worker

#: Where the command is installed.
BIN = Path(sys.executable).parent


def environment(worker: Worker, **more: str) -> dict[str, str]:
    """The environment in which ``bulk`` finds a worker, and nothing of the person who runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BULK_")}
    return {
        **inherited,
        "PATH": f"{BIN}{os.pathsep}{inherited.get('PATH', '')}",
        "BULK_URL": f"http://127.0.0.1:{worker.port}",
        "XDG_CONFIG_HOME": str(worker.directory / "no-profiles"),
        "LC_ALL": "C.UTF-8",
        **more,
    }


def bulk(
    worker: Worker, *arguments: str, cwd: Path, stdin: bytes = b"", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run ``bulk``; what it writes is text."""
    done = subprocess.run(
        ["bulk", *arguments],
        cwd=cwd,
        env=environment(worker, **more),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
