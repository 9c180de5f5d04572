"""The gate in front of the commands for records: as many at once as the server can take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.domain.concurrency import AdaptiveLimit


@dataclass(slots=True)
class Command:
    """A command under way: what costs about the same per row."""

    kind: str


class CommandGate:
    """Lets commands pass, and learns from how long they take how many at once are right.

    Args:
        most: Never more than these at once.
    """

    def __init__(self, most: int) -> None:
        self._limit = AdaptiveLimit(most)
        self._under_way = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def command(self, kind: str, rows: int) -> AsyncIterator[Command]:
        """Wait until a command may be sent; what is done in this context is the command.

        Args:
            kind: what it does; see :meth:`AdaptiveLimit.observe`. What only its answer tells may be added there.
            rows: how many rows it is about.
        """
        await self._enter()
        command = Command(kind)
        at_once, began = self._under_way, time.perf_counter()
        try:
            yield command
            self._limit.observe(command.kind, rows, time.perf_counter() - began, at_once)
        finally:
            self._under_way -= 1
            self._wake()

    async def _enter(self) -> None:
        while self._under_way >= self._limit.value:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._waiting.remove(turn)
                # It may have been its turn: somebody else's now.
                self._wake()
                raise
            self._waiting.remove(turn)
        self._under_way += 1

    def _wake(self) -> None:
        for turn in self._waiting[: max(0, self._limit.value - self._under_way)]:
            if not turn.done():
                turn.set_result(None)
