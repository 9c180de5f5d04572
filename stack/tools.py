"""Programs that come from the operating system: are they here, and how does one get them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.errors import Cancellation, StackError
from stack.process import run


@dataclass(frozen=True)
class Tool:
    """A program that must be on the PATH."""

    command: str
    package: str
    """Of Debian and its relatives."""
    brew: str
    version: int = 0
    """The lowest major version that will do, as the program tells it (17 for 17.0.1, 21 for 1.21.5); 0: any."""
    ask: str = "-version"
    """The argument on which it tells its version."""

    def path(self) -> str | None:
        """Return where the program is; Debian keeps daemons where the PATH of people does not look."""
        return shutil.which(self.command) or shutil.which(self.command, path="/usr/local/sbin:/usr/sbin")

    def present(self) -> bool:
        """Tell whether the program is here, of whatever version."""
        return self.path() is not None

    def problem(self) -> str | None:
        """Say in one line what is missing and how to install it; None when all is well."""
        if not self.present():
            return f"missing; install it with: {self.remedy()}"
        if self.version:
            found = self._found()
            if found is None or found < self.version:
                return f"version {self.version} or later is needed, found {found or 'none that works'}"
        return None

    def remedy(self) -> str:
        """Return the command that installs it on this machine."""
        if sys.platform == "darwin":
            return f"brew install {self.brew}"
        return f"sudo apt-get install {self.package}" if os.geteuid() else f"apt-get install {self.package}"

    def _found(self) -> int | None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            answer = subprocess.run([self.command, self.ask], capture_output=True, text=True, timeout=20)  # noqa: S603  a name and an argument declared in services.py, no shell
            match = re.search(r'version "?(?:go)?(?:1\.)?(\d+)', answer.stderr + answer.stdout)
            return int(match[1]) if match else None
        return None


def can_install() -> bool:
    """Tell whether missing programs can be installed here without asking anybody."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(tools: Iterable[Tool], log: Path, cancellation: Cancellation) -> None:
    """Install the missing ones of these programs from Debian's packages, without starting their services.

    Raises StackError when it fails.
    """
    missing = [tool for tool in tools if not tool.present()]
    if not missing:
        return
    apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=120")
    packages = sorted({tool.package for tool in missing})
    with _no_services():
        run(("env", "DEBIAN_FRONTEND=noninteractive", *apt, "update"), log, cancellation)
        run(
            ("env", "DEBIAN_FRONTEND=noninteractive", *apt, "install", "--yes", "--no-install-recommends", *packages),
            log,
            cancellation,
        )
    for tool in missing:
        if problem := tool.problem():
            raise StackError(f"{tool.command}: {problem}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    # Debian starts a service when its package is installed, unless this file says no. One that the administrator
    # wrote is left alone.
    policy, ours = Path("/usr/sbin/policy-rc.d"), "#!/bin/sh\n# written by the stack's launcher\nexit 101\n"
    if policy.exists() and policy.read_text(errors="replace") != ours:
        yield
        return
    policy.write_text(ours)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
