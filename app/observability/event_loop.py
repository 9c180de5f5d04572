"""How late the event loop is: whatever keeps it busy keeps everything of a worker waiting.

A worker whose loop is held up for good answers nothing, logs nothing, and yet keeps its partitions: Kafka's client
lives in a thread of its own. So it is ended, that others may take over.
"""

from __future__ import annotations

import asyncio
import faulthandler
import time

from app.observability.metrics import EVENT_LOOP_LAG

#: Between two measurements, seconds.
INTERVAL = 0.25
#: A descriptor, because Faust may have put something else in the place of the file.
_STDERR = 2


async def measure_event_loop(context: object) -> None:
    """Sleep for a moment, and observe how much later this goes on."""
    due = time.perf_counter() + INTERVAL
    await asyncio.sleep(INTERVAL)
    EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - due))


class EventLoopGuard:
    """Ends this process when its event loop is held up for too long, and says on standard error where every thread is.

    The clock is a thread of the interpreter that needs nothing of it, so that it also runs while a library that is held
    up lets no other thread run.

    Args:
        timeout: seconds for which the loop may be held up, more than 0.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        #: Between two turns, seconds.
        self.interval = min(1.0, timeout / 4)

    async def turn(self, context: object) -> None:
        """Note that the loop is not held up; to be called every ``interval`` seconds, once it has been called."""
        faulthandler.dump_traceback_later(self._timeout, exit=True, file=_STDERR)

    @staticmethod
    def end() -> None:
        """Guard no more, until the next turn."""
        faulthandler.cancel_dump_traceback_later()
