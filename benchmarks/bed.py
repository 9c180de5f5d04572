"""The ground that all measurements stand on: services of their own, workers, and what each of them used."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pymongo
import redis

from stack import Options, Stack
from tests.support.namespaces import namespace
from tests.support.workers import Worker

SERVICES = ("kafka", "mongo", "redis")


@dataclass
class Usage:
    """What a piece of work used.

    CPU is in seconds, by process: the workers' together under ``worker``, this process and the programs that it started
    and waited for under ``client``.
    """

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    kafka_bytes: int = 0
    redis_peak: int = 0
    redis_after: int = 0

    def cpu_of(self, name: str) -> float:
        """Return the CPU seconds of one of the processes."""
        return self.cpu.get(name, 0.0)


class Bed:
    """Services in a fresh directory, and workers on them."""

    def __init__(self, *, in_file: bool = False, heap: str = "6g", also: Sequence[str] = ()) -> None:
        """Describe it; ``also``: services beside those that the platform needs."""
        self.in_file = in_file
        self.directory = Path(tempfile.mkdtemp(prefix="bench-"))
        options = Options(mongo_heap=heap, mongo_in_memory=not in_file)
        self._stack = Stack(
            directory=self.directory / "stack", services=(*SERVICES, *also), ports="free", options=options
        )
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        self._stack.start()
        self.environment = namespace(self._stack, self.directory)
        # As many partitions as the settings have by default: a test has fewer.
        del self.environment["TOPIC_PARTITIONS"]
        self.redis = redis.Redis.from_url(self.environment["REDIS_URI"])
        self.mongo: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(self.environment["MONGO_DB_URI"])
        self.database = self.mongo.get_default_database()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for worker in self.workers:
            worker.kill()
        self.mongo.close()
        self._stack.stop()

    def start_worker(self, **settings: str) -> Worker:
        """Start one more worker."""
        worker = Worker({**self.environment, **settings}, self.directory / f"worker{len(self.workers)}")
        self.workers.append(worker)
        return worker.start()

    def stop_workers(self) -> None:
        """Stop all workers, as an operator would."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()

    @contextmanager
    def using(self) -> Iterator[Usage]:
        """Measure what everything uses meanwhile."""
        usage, before = Usage(), self._cpu()
        kafka, memory = self._kafka_bytes(), self._redis_memory()
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                usage.redis_peak = max(usage.redis_peak, int(self.redis.info("memory")["used_memory"]) - memory)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        began = time.perf_counter()
        try:
            yield usage
        finally:
            usage.seconds = time.perf_counter() - began
            after = self._cpu()
            done.set()
            watcher.join()
            usage.cpu = {name: after[name] - before.get(name, 0.0) for name in after}
            usage.kafka_bytes = self._kafka_bytes() - kafka
            usage.redis_after = self._redis_memory() - memory

    def _cpu(self) -> dict[str, float]:
        found = {name: _cpu_of(self._stack[name].pid) for name in SERVICES}
        found["worker"] = sum(_cpu_of(worker.process.pid) for worker in self.workers if worker.process)
        own = psutil.Process().cpu_times()
        found["client"] = own.user + own.system + own.children_user + own.children_system
        return found

    def _kafka_bytes(self) -> int:
        topic = self.environment["KAFKA_TOPIC"]
        logs = self._stack["kafka"].directory.rglob("*.log")
        # A segment is made longer than its records and cut when it is closed: its blocks are what is written.
        return sum(log.stat().st_blocks * 512 for log in logs if log.parent.name.startswith(topic))

    def _redis_memory(self) -> int:
        # What is unlinked is freed a moment later, by another thread.
        while (memory := self.redis.info("memory"))["lazyfree_pending_objects"]:
            time.sleep(0.01)
        return int(memory["used_memory"])


def _cpu_of(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
