"""Environments of Python away from the checkout, and programs that run in them."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path


def outside() -> dict[str, str]:
    """The environment without a path into the checkout, and without what a make has told its tests."""
    hidden = ("MAKE", "MFLAGS", "BULK_")
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith(hidden)}


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run a program, which must succeed; return what it wrote."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**outside(), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_dependencies(directory: Path) -> None:
    """Let an environment find what this one has, except the checkout: its dependencies, without installing them."""
    # A directory of a .pth file is looked into for packages, but not for .pth files: the checkout stays unseen.
    [own] = directory.glob("lib/*/site-packages")
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
