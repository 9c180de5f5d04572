"""This worker as the others are told of it, and all workers as it knows them."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

from app.context import AppContext
from app.domain.dependencies import DependencyState
from app.domain.faults import DependencyFault
from app.domain.speed import Rate, Speed
from app.domain.workers import Roll, SeenWorker, WorkerReport, in_order, patience_of, state_of
from app.kafka.membership import Membership
from app.observability.dependencies import Dependencies
from app.observability.metrics import CHUNKS_IN_HAND, ROWS, sum_of
from app.observability.process import VERSION, resident_bytes

log = logging.getLogger(__name__)

#: Longest wait for Redis, seconds: nobody needs the list so much.
_TIMEOUT = 1.0
_AWAY = (DependencyFault, OSError)


class Workers:
    """This worker, and the list of all.

    Args:
        context: The stores.
        membership: What Faust tells of this worker.
        stuck: Whether its consumer is stuck.
        port: Where it serves the API.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        context: AppContext,
        membership: Membership,
        *,
        stuck: Callable[[], bool],
        port: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._register = context.redis.workers
        self._membership = membership
        self._stuck = stuck
        self._port = port
        self._clock = clock
        self.interval = context.settings.worker_announce_seconds
        self.worker_id = secrets.token_hex(8)
        self._started_at = datetime.now(UTC)
        self._speed = Speed(_rows_done(), clock())
        #: Whether there are clients of everything yet: what is asked before would be called away.
        self._connected = False
        self._announced = self._warned = False
        #: When an announcement last failed.
        self._failed_at = -math.inf

    async def announce(self) -> None:
        """Tell the others of this worker; a Redis that is away is logged once, and otherwise ignored."""
        self._connected = self._connected or self._membership.recovered
        report = await self._report()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._register.announce(report)
        except _AWAY as error:
            if not self._warned:
                log.warning("the other workers cannot be told of this one: %r", error)
            self._announced, self._warned, self._failed_at = False, True, self._clock()
        else:
            self._announced, self._warned = True, False

    async def withdraw(self) -> None:
        """Leave the list; where that fails, the others see this worker as lost for a while."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._register.withdraw(self.worker_id)
        except _AWAY as error:
            log.warning("the other workers cannot be told that this one stops: %r", error)

    async def roll(self) -> Roll:
        """Return all workers that are known; while Redis is away, this one alone."""
        # Who asks is served, so that there are clients of everything.
        self._connected = True
        own, known = await asyncio.gather(self._report(), self._known())
        at = datetime.now(UTC) if known is None else known.at
        others = () if known is None else known.workers
        workers = [*(one for one in others if one.report.worker_id != self.worker_id), SeenWorker(own, at)]
        return Roll(in_order(workers), at, complete=known is not None and self._reaches_others())

    async def _known(self) -> Roll | None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._register.roll()
        except _AWAY:
            return None

    def _reaches_others(self) -> bool:
        """Tell whether all who live had the time to announce themselves since Redis was last away."""
        return self._announced and self._clock() - self._failed_at > patience_of(self.interval).total_seconds()

    async def _report(self) -> WorkerReport:
        context = self._context
        required, optional = await asyncio.gather(
            self._states(context.dependencies), self._states(context.optional_dependencies)
        )
        now = self._clock()
        self._speed = self._speed.observe(_rows_done(), now)
        rate = self._speed.rate
        return WorkerReport(
            worker_id=self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            port=self._port,
            version=VERSION,
            started_at=self._started_at,
            interval=self.interval,
            state=state_of(
                stopping=self._membership.stopping,
                stuck=self._stuck(),
                recovered=self._membership.recovered,
                usable=all(state.ok for state in required),
            ),
            leader=self._membership.leader,
            partitions=self._membership.partitions(),
            chunks_in_hand=int(sum_of(CHUNKS_IN_HAND)),
            rows_per_second=0.0 if rate is None else Rate(rate, self._speed.at).at(now),
            memory_bytes=resident_bytes(),
            open_uploads=context.open_uploads.total,
            open_streams=context.open_streams.total,
            open_downloads=context.open_downloads.total,
            required=required,
            optional=optional,
        )

    async def _states(self, dependencies: Dependencies) -> tuple[DependencyState, ...]:
        """Return the state of each; while the worker stops, and its clients go, what was last known."""
        if not self._connected or self._membership.stopping:
            return tuple(dependencies.known)
        return tuple(await dependencies.states())


def _rows_done() -> int:
    return int(sum_of(ROWS))
