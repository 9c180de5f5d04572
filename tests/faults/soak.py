"""Faults at random while files are uploaded all the time: ``python -m tests.faults.soak --minutes 10 --seed 1``.

Prints the seed, each fault and how long the system took to show progress again after it; waits for every action
to end, compares each with what its file says, and ends with ``verify`` over everything. Exits 1 if a row is lost
or counted twice, if a file became something else than it says, or if there is a dead letter: all faults pass.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pymongo
import typer

from app.domain.actions import ENDED
from stack import Options, Stack
from stack.samples import Expected, Sample
from tests.support.assertions import assert_rows, assert_verified
from tests.support.namespaces import namespace, storage_of
from tests.support.outages import OUTAGES
from tests.support.scenes import OUTLASTING, QUICK
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: Longest that the last actions may take after the last fault, seconds.
_SETTLE = 600.0

#: Outages of a few seconds, drawn between these bounds.
_SHORT = {
    "broker killed": (2, 20),
    "broker hangs": (1, 8),
    "database killed": (1, 8),
    "database stopped": (1, 8),
    "database hangs": (1, 8),
    "Redis killed": (1, 10),
    "Redis hangs": (1, 5),
    "Redis full": (1, 10),
    "Redis read-only": (1, 8),
    "storage unreadable": (1, 6),
    "storage unmounted": (1, 6),
}
#: Outages that outlast all retries of a chunk.
_LONG = ("broker killed", "database killed", "database hangs", "Redis killed", "Redis full", "storage unmounted")

#: The retries and stalls of a worker that nobody has set up, and an outage that outlasts them, seconds.
_REAL = {"RETRY_INLINE_SECONDS": "10", "RETRY_DELAYS": "[15, 30, 60]", "STALL_TIMEOUT": "20"}
_REAL_OUTLASTING = 240.0


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

    def __init__(self, stack: Stack, directory: Path, seed: int, *, real_retries: bool) -> None:
        self.stack = stack
        self.environment = {**namespace(stack, directory), **QUICK, **(_REAL if real_retries else {})}
        self.workers = [Worker(self.environment, directory / f"worker{n}") for n in range(3)]
        self.draw = random.Random(seed)
        self.outlasting = _REAL_OUTLASTING if real_retries else OUTLASTING

    def faults(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Faults without end: drawn like cards, so that each comes once before any comes a second time."""
        while True:
            cards = 4 * [("worker killed", self.kill_worker)] + 2 * [("worker restarted", self.restart_worker)]
            cards += 2 * [(what, lambda w=what, span=span: self.outage(w, *span)) for what, span in _SHORT.items()]
            cards += [(f"{what}, for long", lambda w=what: self.outage(w, *2 * [self.outlasting])) for what in _LONG]
            self.draw.shuffle(cards)
            yield from cards

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

    def outage(self, what: str, least: float, most: float) -> None:
        with OUTAGES[what](self.stack, storage_of(self.environment)):
            time.sleep(self.draw.uniform(least, most))

    def revive(self) -> None:
        """An operator's supervisor: start again what has ended."""
        for worker in self.workers:
            if not worker.running:
                worker.launch()

    def processed(self) -> dict[str, int]:
        """Rows with an outcome of each of the newest actions, as any worker that answers sees it; else nothing."""
        for worker in self.workers:
            try:
                answer = worker.client.get("/bulk-actions", params={"limit": 50}, timeout=5)
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                return {action["actionId"]: action["processedCount"] for action in answer.json()}
        return {}

    def recovery(self) -> float:
        """Seconds until rows are processed again."""
        began = time.monotonic()
        before = wait_for(self.processed, "a worker answers", timeout=180, pause=0.2)
        wait_for(
            lambda: any(rows > before.get(action, 0) for action, rows in self.processed().items()),
            "rows are processed again",
            timeout=180,
            pause=0.2,
        )
        return time.monotonic() - began


@dataclass
class Account:
    """What became of the files, compared with what they say."""

    files: int = 0
    rows: int = 0
    lost: int = 0
    twice: int = 0
    #: What is wrong, in a line each.
    findings: list[str] = field(default_factory=list)

    def take(self, soak: Soak, action_id: str, sample: Sample, expected: Expected, contacts: Any) -> None:
        """Compare one file with its action, its rows and the records."""
        worker = soak.workers[0]
        self.files += 1
        self.rows += expected.total
        answer = worker.client.get(f"/bulk-actions/{action_id}")
        action = answer.json() if answer.status_code == 200 else {"processedCount": 0, "status": answer.text}
        difference = expected.total - action["processedCount"]
        self.lost, self.twice = self.lost + max(0, difference), self.twice + max(0, -difference)
        if action["status"] != "COMPLETED" or any(action[name] != n for name, n in expected.counts().items()):
            self.findings.append(f"{action_id}: expected {expected.counts()}, got {action}")
            return
        try:
            assert_rows(worker.records(action_id), sample.codes())
        except AssertionError as error:
            self.findings.append(f"{action_id}: rows: {error}")
        wanted = sample.records()
        found = _records(contacts, list(wanted))
        if found != wanted:
            differing = [key for key in wanted if found.get(key) != wanted[key]]
            self.findings.append(f"{action_id}: {len(differing)} records are not as in the file, first {differing[0]}")


def _records(contacts: Any, ids: list[str]) -> dict[str, tuple[str, str, str]]:
    """The stored contacts of these ids: id → (name, email, status)."""
    found: dict[str, tuple[str, str, str]] = {}
    # By key and a few at a time: the Java server compares each document that it finds with the whole list again.
    for start in range(0, len(ids), 500):
        keys = [f"default:{key}" for key in ids[start : start + 500]]
        for contact in contacts.find({"_id": {"$in": keys}}):
            found[contact["id"]] = (contact["name"], contact["email"], contact["status"])
    return found


def main(
    minutes: float = typer.Option(10.0, help="how long faults are drawn"),
    seed: int = typer.Option(0, help="of the faults and files; 0 draws one"),
    real_retries: bool = typer.Option(False, help="retries as nobody has set them; long outages take four minutes"),
) -> None:
    """Soak the system in faults."""
    seed = seed or random.SystemRandom().randrange(1, 1_000_000)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {seed}, {minutes} minutes, logs in {directory}", flush=True)
    # Enough for what verify reads.
    options = Options(mongo_heap="4g")
    with Stack(
        directory=directory / "stack", services=("kafka", "mongo", "redis"), ports="free", options=options
    ) as stack:
        soak = Soak(stack, directory, seed, real_retries=real_retries)
        try:
            good = _soak(soak, Uploads(soak.workers, directory, seed), minutes)
        finally:
            for worker in soak.workers:
                worker.kill()
    if good:
        shutil.rmtree(directory)
    raise typer.Exit(0 if good else 1)


def _soak(soak: Soak, uploads: Uploads, minutes: float) -> bool:
    for worker in soak.workers:
        worker.launch()
    for worker in soak.workers:
        worker.wait_ready()
    uploads.start()
    recoveries: dict[str, list[float]] = {}
    began = time.monotonic()
    for name, strike in soak.faults():
        time.sleep(soak.draw.uniform(2, 8))
        if time.monotonic() > began + minutes * 60:
            break
        at = time.monotonic() - began
        strike()
        soak.revive()
        took = soak.recovery()
        recoveries.setdefault(name, []).append(took)
        print(f"{at:5.0f} s  {name}: rows move again after {took:.1f} s; {len(uploads.made)} files so far", flush=True)
    uploads.stopping.set()
    uploads.join()
    return _summary(soak, uploads, recoveries)


def _summary(soak: Soak, uploads: Uploads, recoveries: dict[str, list[float]]) -> bool:
    """Wait for the end of all actions, compare, and print what was found. Returns whether all is well."""
    soak.revive()
    for worker in soak.workers:
        worker.wait_ready()
    account = Account()
    try:
        wait_for(lambda: _all_ended(soak.workers[0], uploads), "all actions ended", timeout=_SETTLE, pause=1)
    except AssertionError as error:
        account.findings.append(str(error))
    with pymongo.MongoClient[dict[str, Any]](soak.environment["MONGO_DB_URI"]) as client:
        contacts = client.get_default_database()["contacts"]
        for action_id, (sample, expected) in uploads.made.items():
            account.take(soak, action_id, sample, expected, contacts)
    wrong = len(account.findings)
    letters = soak.workers[0].dead_letters()
    account.findings += [f"dead letter: {letter}" for letter in letters]
    try:
        assert_verified(soak.environment, timeout=3600)
        verified = "agrees"
    except AssertionError as error:
        verified = "DOES NOT AGREE"
        account.findings.append(f"verify: {error}")
    for finding in account.findings:
        print(finding)
    for name, times in sorted(recoveries.items()):
        median, worst = statistics.median(times), max(times)
        print(f"  {name}: {len(times)} times, recovery median {median:.1f} s, max {worst:.1f} s")
    struck = sum(map(len, recoveries.values()))
    print(
        f"{struck} faults, {account.files} files, {account.rows} rows: {account.lost} lost, "
        f"{account.twice} counted twice, {wrong} files wrong, {len(letters)} dead letters; verify {verified}"
    )
    return not account.findings


def _all_ended(worker: Worker, uploads: Uploads) -> bool:
    for action_id in uploads.made:
        try:
            answer = worker.client.get(f"/bulk-actions/{action_id}")
        except httpx.TransportError:
            return False
        if answer.status_code == 503 or (answer.status_code == 200 and answer.json()["status"] not in ENDED):
            return False
    return True


if __name__ == "__main__":
    typer.run(main)
