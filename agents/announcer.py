"""This worker announces itself, from before its first service starts to after its last one has stopped.

It is no timer of Faust's: those run only once tables are recovered, and end as soon as the worker is told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from app.domain.tasks import end_tasks
from app.services.workers import Workers

log = logging.getLogger(__name__)


class Announcer:
    """Announces a worker at its interval, and whenever that is asked for.

    Args:
        workers: This worker, and the list of all.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._asked = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def announce(self) -> None:
        """Do not wait for the interval: the state is another."""
        self._asked.set()

    async def end(self, *, orderly: bool) -> None:
        """Announce it no more.

        Args:
            orderly: Whether it leaves the list. One that has crashed does not: it is shown as lost.
        """
        await end_tasks([self._task])
        if orderly:
            await self._workers.withdraw()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._workers.interval
            try:
                await self._workers.announce()
            except Exception:
                log.exception("this worker cannot announce itself")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._asked.wait()
            self._asked.clear()
