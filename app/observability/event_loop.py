"""How late the event loop is: whatever keeps it busy keeps everything of a worker waiting."""

from __future__ import annotations

import asyncio
import time

from app.observability.metrics import EVENT_LOOP_LAG

#: Between two measurements, seconds.
INTERVAL = 0.25


async def measure_event_loop(context: object) -> None:
    """Sleep for a moment, and observe how much later this goes on."""
    due = time.perf_counter() + INTERVAL
    await asyncio.sleep(INTERVAL)
    EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - due))
