"""The style of the dashboard's JavaScript and CSS: `python -m tests.support.biome --write` mends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stack.clients import BIOME
from stack.errors import Cancellation
from tests.support.paths import ROOT


def check(modules: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Check what biome.json names, given the directory of the modules of npm."""
    return subprocess.run(
        [str(modules / ".bin" / "biome"), "check", "--error-on-warnings", "--colors=off", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


if __name__ == "__main__":
    done = check(BIOME.provide(Cancellation()), *sys.argv[1:])
    print(done.stdout + done.stderr, end="")
    sys.exit(done.returncode)
