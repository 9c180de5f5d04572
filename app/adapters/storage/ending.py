"""Steps that must not be left half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finish_despite_cancel(step: Coroutine[Any, Any, None]) -> None:
    """Await a step; when cancelled, wait for its end before saying so. Raises what the step raises."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
