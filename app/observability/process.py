"""What is known of this process, and how it collects its garbage."""

from __future__ import annotations

import gc
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


def quieten_garbage_collector() -> None:
    """Let the collector look at what is new only, and less often.

    The modules live for ever, and a chunk makes thousands of objects that die without the collector's help: with
    its defaults it walked through all of them several times per chunk.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
