"""Polling until something is true, in a thread and in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(probe: Callable[[], T | None], what: str, *, timeout: float = 60.0, pause: float = 0.05) -> T:
    """Poll until ``probe`` returns something true; return that."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)
    return value


async def eventually(probe: Callable[[], object], what: str, *, timeout: float = 60.0) -> None:
    """Poll inside an event loop until ``probe`` returns something true."""
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        await asyncio.sleep(0.02)
