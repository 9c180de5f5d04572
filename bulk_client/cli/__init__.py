"""The command ``bulk``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; say in one line what to install where something is missing."""
    try:
        from bulk_client.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bulk_client"):
            raise
        sys.exit(f"bulk needs more than is installed ({error.name}): pip install 'bulk-operations[cli]'")
    run()
