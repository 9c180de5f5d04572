"""Programs that tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack.clients import Client
from stack.errors import Cancellation


def provided(client: Client) -> Path:
    """Where the program is; without what it takes, the test is skipped, but not in CI."""
    if (problem := client.problem()) and not os.environ.get("CI"):
        pytest.skip(f"no {client.name}: {problem}")
    return client.provide(Cancellation())
