"""The layers of the code: what may import what, as pyproject.toml says it."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT


def test_no_layer_imports_what_it_must_not_know() -> None:
    checked = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout, checked.stdout
