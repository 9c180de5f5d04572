"""The scene of a fault test: a namespace, a file, workers that come and go, and settings that recover quickly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo

from app.domain.actions import ENDED
from stack import Stack
from stack.samples import Expected, Sample
from tests.support.assertions import assert_exact, assert_histories, verifying
from tests.support.figures import Figures
from tests.support.namespaces import storage_of
from tests.support.outages import OUTAGES
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: Short times, so that a recovery can be waited for.
QUICK = {
    "BROKER_SESSION_TIMEOUT": "6",
    "STALL_TIMEOUT": "5",
    "REQUEUE_AFTER": "2",
    "RETRY_INLINE_SECONDS": "2",
    "RETRY_DELAYS": "[2, 4, 8]",
    "FEED_WINDOW": "16",
    "BATCH_SIZE": "500",
}

#: Longer than a chunk is tried under these settings, with all its retries: for outages that must not be waited out.
OUTLASTING = 30.0

Inject = dict[str, dict[str, Any]]


@dataclass
class Scene:
    """One fault test: a namespace, a file, and workers that come and go."""

    services: Stack
    directory: Path
    environment: dict[str, str]
    sample: Sample
    name: str
    figures: Figures
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file = self.directory / "contacts.csv"
        self.expected: Expected = self.sample.write(self.file)
        self._struck: float | None = None

    def worker(self, *, inject: Inject | None = None, wait: bool = True, **settings: str) -> Worker:
        """Start a worker, if wanted with faults built in."""
        worker = Worker({**self.environment, **settings}, self.directory / f"worker{len(self.workers)}", inject)
        self.workers.append(worker)
        return worker.start() if wait else worker.launch()

    def struck(self) -> None:
        """From here on the recovery is timed: a worker has died, or a service is back."""
        self._struck = time.monotonic()

    @contextmanager
    def away(self, what: str) -> Iterator[None]:
        """One of ``OUTAGES`` for as long as the block takes; the recovery is timed from its end."""
        with OUTAGES[what](self.services, storage_of(self.environment)):
            yield
        self.struck()

    def under_way(self, worker: Worker, *, rows: int = 3_000) -> str:
        """Submit the file; return the action once more than so many of its rows have an outcome."""
        action = worker.submit(self.file)
        worker.wait_processed(action, more_than=rows)
        return action

    def assert_exact(self, worker: Worker, action_id: str, *, timeout: float = 300.0) -> None:
        """The action ends, and is exactly what the file says; the verify command agrees, and so do the histories."""
        if self._struck is not None:
            self._time_recovery(worker, action_id, timeout)
        worker.wait_ended(action_id, timeout)
        with verifying(self.environment, action_id):
            rows = assert_exact(worker, action_id, self.sample, self.expected, self.environment["MONGO_DB_URI"])
            assert_histories(worker, action_id, self.file, rows)
        self.figures.rows += self.expected.total

    def _time_recovery(self, worker: Worker, action_id: str, timeout: float) -> None:
        assert self._struck is not None
        counts: list[int] = []

        def moves() -> bool:
            if (action := worker.poll(action_id)) is None:
                return False
            counts.append(action["processedCount"])
            return counts[-1] > counts[0] or action["status"] in ENDED

        wait_for(moves, "rows move again", timeout=timeout)
        self.figures.recoveries.append((self.name, time.monotonic() - self._struck))

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.client.close()
        with pymongo.MongoClient[Any](self.environment["MONGO_DB_URI"]) as client:
            client.drop_database(client.get_default_database().name)


MakeScene = Callable[..., Scene]
