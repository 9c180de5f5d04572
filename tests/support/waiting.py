"""Polling until something is true, in a thread and in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


#: Between two looks, seconds: at first, and at most. What is asked costs a processor that the tests share.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
#: A pause as a share of the time that was waited before.
_SHARE = 0.05


def wait_for(probe: Callable[[], T | None], what: str, *, timeout: float = 120.0, pause: float | None = None) -> T:
    """Poll until ``probe`` returns something true; return that.

    ``pause``: seconds between two looks; without it they become rarer the longer it takes.
    """
    began = time.monotonic()
    while not (value := probe()):
        waited = time.monotonic() - began
        if waited > timeout:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause or min(max(_FIRST_PAUSE, waited * _SHARE), _LONGEST_PAUSE))
    return value


async def eventually(probe: Callable[[], object], what: str, *, timeout: float = 120.0) -> None:
    """Poll inside an event loop until ``probe`` returns something true."""
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        await asyncio.sleep(0.02)
