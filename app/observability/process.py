"""What is known of this process."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

#: The version of the platform; read once, because it stands in a file of the installation.
VERSION = version("bulk-operations")

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Return the resident size of this process; None where the system does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
