"""The end of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

#: Seconds after which what has not ended is cancelled again.
_AGAIN = 0.5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], timeout: float | None = None) -> None:
    """Cancel tasks that have nothing to put in order when they end, and wait until they have ended.

    Once is not enough: before Python 3.12 ``asyncio.wait_for``, which clients of Redis and Kafka use, loses a
    cancellation that comes together with what it waits for (https://github.com/python/cpython/issues/86296).

    Args:
        tasks: The tasks; what they raise is left to who asks them.
        timeout: Seconds to wait at most; None: until all have ended.
    """
    pending = {task for task in tasks if not task.done()}
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    while pending and (end is None or loop.time() < end):
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
