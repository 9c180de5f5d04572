"""Faults for tests reach into the application by name: the names are still there."""

from __future__ import annotations

import os
import subprocess
import sys


def test_faulty_app_can_be_loaded() -> None:
    """The application with faults can be loaded."""
    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import tests.faults.injected"],
        env={**os.environ, "INJECT": "{}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
