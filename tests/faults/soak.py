"""Faults at random while files are uploaded all the time: ``python -m tests.faults.soak --minutes 10 --seed 1``.

Prints the seed, each fault and how long the system took to show progress again after it; waits for every action
to end, compares each with what its file says, and ends with ``verify`` over everything. Exits 1 if a row is lost
or counted twice.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import typer

from stack import Options, Stack
from stack.samples import Expected, Sample
from tests.conftest import namespace
from tests.faults.conftest import QUICK
from tests.support import ENDED, Worker, assert_rows, assert_verified, contacts, wait_for

#: Longest that the last actions may take after the last fault, seconds.
_SETTLE = 600.0


class Uploads(threading.Thread):
    """Uploads one file after the other to whichever worker answers, until told to stop."""

    def __init__(self, workers: list[Worker], directory: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.made: dict[str, tuple[Sample, Expected]] = {}
        self._workers, self._directory, self._draw = workers, directory, random.Random(seed)

    def run(self) -> None:
        number = 0
        while not self.stopping.wait(self._draw.uniform(0.5, 2.0)):
            if self._crowded():
                continue
            number += 1
            sample = Sample(self._draw.choice([10, 2_000, 10_000, 30_000]), seed=number, prefix=f"f{number}x")
            expected = sample.write(self._directory / "upload.csv")
            worker = self._draw.choice(self._workers)
            try:
                answer = worker.upload(self._directory / "upload.csv")
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                self.made[answer.json()["actionId"]] = (sample, expected)

    def _crowded(self) -> bool:
        """Whether so much is under way already that more would only wait."""
        try:
            answer = self._draw.choice(self._workers).client.get(
                "/bulk-actions", params={"status": "PROCESSING", "limit": 10}, timeout=5
            )
        except httpx.TransportError:
            return True
        return answer.status_code != 200 or len(answer.json()) > 4


class Soak:
    """The services, three workers, and the faults that meet them."""

    def __init__(self, stack: Stack, directory: Path, seed: int) -> None:
        self.stack, self.directory = stack, directory
        self.environment = {**namespace(stack, directory), **QUICK}
        self.workers = [Worker(self.environment, directory / f"worker{n}") for n in range(3)]
        self.draw = random.Random(seed)
        self.faults: dict[str, Callable[[], None]] = {
            "worker killed": self.kill_worker,
            "worker restarted": self.restart_worker,
            "broker killed": lambda: self.kill_service("kafka", 2, 20),
            "cache killed": lambda: self.kill_service("redis", 1, 10),
            "cache hangs": lambda: self.hang("redis", 1, 5),
            "database stopped": self.stop_database,
            "database hangs": lambda: self.hang("mongo", 1, 8),
            "storage away": self.hide_storage,
        }

    def kill_worker(self) -> None:
        worker = self.draw.choice(self.workers)
        worker.kill()
        time.sleep(self.draw.uniform(0, 5))
        worker.launch()

    def restart_worker(self) -> None:
        worker = self.draw.choice(self.workers)
        if worker.running:
            worker.stop()
        worker.launch()

    def kill_service(self, name: str, least: float, most: float) -> None:
        self.stack[name].kill()
        time.sleep(self.draw.uniform(least, most))
        self.stack[name].start()

    def hang(self, name: str, least: float, most: float) -> None:
        self.stack[name].pause()
        time.sleep(self.draw.uniform(least, most))
        self.stack[name].resume()

    def stop_database(self) -> None:
        self.stack["mongo"].stop()
        time.sleep(self.draw.uniform(1, 8))
        self.stack["mongo"].start()

    def hide_storage(self) -> None:
        storage = Path(urlsplit(self.environment["STORAGE_URI"]).path)
        hidden = storage.with_name("hidden")
        storage.rename(hidden)
        storage.touch()
        time.sleep(self.draw.uniform(1, 6))
        storage.unlink()
        hidden.rename(storage)

    def revive(self) -> None:
        """An operator's supervisor: start again what has ended."""
        for worker in self.workers:
            if not worker.running:
                worker.launch()

    def processed(self) -> int:
        """Rows with an outcome, of the newest actions, as any worker that answers sees it."""
        for worker in self.workers:
            try:
                answer = worker.client.get("/bulk-actions", params={"limit": 500}, timeout=5)
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                return sum(action["processedCount"] for action in answer.json())
        return 0

    def recovery(self) -> float:
        """Seconds until rows are processed again."""
        began = time.monotonic()
        before = self.processed()
        wait_for(lambda: self.processed() > before, "rows are processed again", timeout=180, pause=0.2)
        return time.monotonic() - began


def main(
    minutes: float = typer.Option(10.0, help="how long faults are drawn"),
    seed: int = typer.Option(0, help="of the faults and files; 0 draws one"),
) -> None:
    """Soak the system in faults."""
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    print(f"seed {seed}, {minutes} minutes", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    # The accounting reads all records, of which the Java server makes documents all at once.
    options = Options(mongo_heap="4g")
    with Stack(
        directory=directory / "stack", services=("kafka", "mongo", "redis"), ports="free", options=options
    ) as stack:
        soak = Soak(stack, directory, seed)
        try:
            code = _soak(soak, minutes, seed)
        finally:
            for worker in soak.workers:
                worker.kill()
    raise typer.Exit(code)


def _soak(soak: Soak, minutes: float, seed: int) -> int:
    for worker in soak.workers:
        worker.launch()
    for worker in soak.workers:
        wait_for(worker.ready, "workers are ready")
    uploads = Uploads(soak.workers, soak.directory, seed)
    uploads.start()
    injected: Counter[str] = Counter()
    recoveries: dict[str, list[float]] = {}
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(soak.draw.uniform(2, 8))
        name = soak.draw.choice(sorted(soak.faults))
        soak.faults[name]()
        soak.revive()
        took = soak.recovery()
        injected[name] += 1
        recoveries.setdefault(name, []).append(took)
        print(f"{name}: rows move again after {took:.1f} s; {len(uploads.made)} files so far", flush=True)
    uploads.stopping.set()
    uploads.join()
    return _account(soak, uploads, injected, recoveries)


def _account(soak: Soak, uploads: Uploads, injected: Counter[str], recoveries: dict[str, list[float]]) -> int:
    soak.revive()
    worker = soak.workers[0]
    wait_for(worker.ready, "a worker is ready")
    deadline = time.monotonic() + _SETTLE
    rows = lost = twice = wrong = 0
    for action_id in uploads.made:
        worker.wait_ended(action_id, timeout=max(1.0, deadline - time.monotonic()))
    stored = contacts(soak.environment["MONGO_DB_URI"], "f")
    for action_id, (sample, expected) in uploads.made.items():
        action = worker.action(action_id)
        rows += expected.total
        difference = expected.total - action["processedCount"]
        lost, twice = lost + max(0, difference), twice + max(0, -difference)
        if action["status"] not in ENDED - {"FAILED"} or any(
            action[name] != count for name, count in expected.counts().items()
        ):
            wrong += 1
            print(f"{action_id}: expected {expected.counts()}, got {action}")
            continue
        assert_rows(worker.records(action_id), sample.codes())
        wanted = sample.records()
        wrong += {key: stored.get(key) for key in wanted} != wanted
    assert_verified(soak.environment)
    for name, times in sorted(recoveries.items()):
        median, worst = statistics.median(times), max(times)
        print(f"  {name}: {injected[name]} times, recovery median {median:.1f} s, max {worst:.1f} s")
    print(
        f"{injected.total()} faults, {len(uploads.made)} files, {rows} rows: "
        f"{lost} lost, {twice} counted twice, {wrong} files wrong; verify agrees"
    )
    return 1 if lost or twice or wrong else 0


if __name__ == "__main__":
    typer.run(main)
