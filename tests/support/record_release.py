"""Record what a release leaves behind, for the tests of upgrades: ``python -m tests.support.record_release``.

Services of its own, and workers of the release, with faults built in where a state is one in which something has gone
wrong. ``--code`` is a checkout of that release; what it cannot do yet is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.domain.actions import ENDED
from app.kafka.topics import topic_names
from stack import Options, Stack
from stack.samples import Sample
from tests.support.files import contacts_csv
from tests.support.installation import Document, Installation
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.producers import open_stream, produce
from tests.support.waiting import wait_for
from tests.support.workers import Worker

#: What the API says of an action and every release after it must say, too.
TOLD = (
    *("actionType", "entityType", "status", "totalCount", "processedCount", "successCount", "failureCount"),
    *("skippedCount", "createdCount", "updatedCount", "duplicateCount"),
)
_BASE = "recorded"
_SETTINGS = {"BATCH_SIZE": "10", "FEED_WINDOW": "16", "RETRY_DELAYS": "[0.2, 0.2, 0.2]", "STALL_TIMEOUT": "20"}
_KEPT = {**_SETTINGS, "RETRY_DELAYS": "[600, 600, 600]"}

Inject = dict[str, dict[str, Any]]


class Recorder:
    """Workers of one release, and what their actions are and must become."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment, self._directory = environment, directory
        self.actions: dict[str, Document] = {}
        self._workers = 0

    def worker(self, settings: dict[str, str], inject: Inject | None = None) -> Worker:
        """Start another worker."""
        self._workers += 1
        directory = self._directory / f"worker{self._workers}"
        return Worker({**self.environment, **settings}, directory, inject).start()

    def note(self, worker: Worker, name: str, action_id: str, **becomes: Any) -> None:
        """Note what the API says of an action, and what it becomes when workers go on with it."""
        told = worker.action(action_id)
        entry: Document = {"id": action_id, "now": {key: told[key] for key in TOLD if key in told}}
        if told["status"] in ENDED:
            entry["rows"] = [[row["status"], row["code"]] for row in worker.records(action_id)]
        self.actions[name] = entry | ({"becomes": becomes} if becomes else {})

    def file(self, sample: Sample) -> tuple[bytes, dict[str, int]]:
        """The bytes of a sample, and what must become of it."""
        path = self._directory / "sample.csv"
        expected = sample.write(path)
        return path.read_bytes(), expected.counts()


def given_up(recorder: Recorder) -> None:
    """A chunk that was given up; and one whose letter was replayed, where a release can say so."""
    worker = recorder.worker(_SETTINGS, {"fail_chunk": {"index": 1}})
    data, _ = recorder.file(Sample(30, seed=1, prefix="dead", duplicates=0.0, invalid=0.0, multiline=0.0))
    action = worker.submit(data)
    worker.wait_ended(action)
    wait_for(lambda: worker.dead_letters(actionId=action), "the letter is there")
    recorder.note(worker, "given up", action)
    worker.kill()


def ended(recorder: Recorder) -> None:
    """Actions that have ended in each way, or wait for their time, and rows with every kind of outcome."""
    worker = recorder.worker(_SETTINGS)
    sample = Sample(60, seed=2, prefix="done", invalid=0.2, duplicates=0.2)
    data, _ = recorder.file(sample)
    action = worker.submit(data)
    worker.wait_ended(action)
    recorder.note(worker, "completed", action)
    again, _ = recorder.file(Sample(60, seed=2, prefix="done", invalid=0.2, duplicates=0.2, name_suffix=" II"))
    action = worker.submit(again)
    worker.wait_ended(action)
    recorder.note(worker, "repeated", action)
    recorder.note(worker, "scheduled", worker.submit(data, scheduledAt="2100-01-01T00:00:00Z"))
    _poison(recorder, worker)
    for scene in (_other_types, _ends, _streams):
        try:
            scene(recorder, worker)
        except (AssertionError, KeyError) as error:
            print(f"left out: {scene.__name__}: {str(error)[:200]}", file=sys.stderr)
    worker.stop()


def _poison(recorder: Recorder, worker: Worker) -> None:
    produce(worker, {"actionId": "no id", "topic": f"{_BASE}.feed", "streamToken": "none"}, [[]])
    arrived: Callable[[], bool] = lambda: any(  # noqa: E731
        letter["kind"] == "POISON"
        for letter in Installation.of(recorder.environment, passing=False).documents.get("dead_letters", ())
    )
    wait_for(arrived, "the garbage is kept")


def _other_types(recorder: Recorder, worker: Worker) -> None:
    for name, kind, rows, columns in (
        ("patched", "BULK_PATCH", ("done1,archived", "nobody,active"), ("id", "status")),
        ("deleted records", "BULK_DELETE", ("done2", "nobody"), ("id",)),
    ):
        action = worker.submit(contacts_csv(*rows, columns=columns), actionType=kind)
        worker.wait_ended(action)
        recorder.note(worker, name, action)
    columns = worker.client.get("/entities/Company/template.csv").text.strip()
    values = "A Company,https://a.example,+49 30 1234567,Software,DE,10,1000.50,EUR,2001-01-31,true"
    data = f"{columns}\nco1,{values}\nco2,{values.replace('DE', 'nowhere')}\n"
    action = worker.submit(data.encode(), entityType="Company")
    worker.wait_ended(action)
    recorder.note(worker, "company", action)
    answer = worker.client.post(f"/bulk-actions/{action}/retry")
    assert answer.status_code == 201, answer.text
    retry = answer.json()["actionId"]
    worker.wait_ended(retry)
    recorder.note(worker, "retry", retry)


def _ends(recorder: Recorder, worker: Worker) -> None:
    data = contacts_csv("end1,A,end1@x.example,active")
    action = worker.submit(data, scheduledAt="2100-01-01T00:00:00Z")
    assert worker.client.post(f"/bulk-actions/{action}/cancel").status_code == 200
    recorder.note(worker, "cancelled", action)
    gone = worker.submit(data)
    worker.wait_ended(gone)
    assert worker.client.delete(f"/bulk-actions/{gone}").status_code in (200, 202, 204)
    wait_for(lambda: worker.client.get(f"/bulk-actions/{gone}").status_code == 404, "the action is gone")
    recorder.actions["gone"] = {"id": gone, "now": None}


def _streams(recorder: Recorder, worker: Worker) -> None:
    def rows(prefix: str) -> list[Document]:
        return [
            {"id": f"{prefix}{n}", "name": "N", "email": f"{prefix}{n}@x.example", "status": "active"} for n in range(3)
        ]

    for name, close in (("closed stream", True), ("open stream", False)):
        opened = open_stream(worker)
        prefix = name.partition(" ")[0]
        produce(worker, opened, {0: rows(f"{prefix}a"), 1: [*rows(f"{prefix}b"), {"id": f"{prefix}c0"}]})
        action = opened["actionId"]
        worker.wait_processed(action, more_than=6)
        if close:
            assert worker.client.post(f"/bulk-actions/{action}/close", json={"chunks": 2}).status_code in (200, 202)
            worker.wait_ended(action)
        recorder.note(worker, name, action)


def under_way(recorder: Recorder) -> None:
    """An action in the middle, with a chunk in a retry topic and openings without outcome; one paused, one queued."""
    worker = recorder.worker(_KEPT, {"slow_writes": {"seconds": 0.5}, "fail_chunk": {"index": 3, "transient": True}})
    data, counts = recorder.file(Sample(200, seed=3, prefix="run", invalid=0.1, duplicates=0.1))
    held, held_counts = recorder.file(Sample(200, seed=4, prefix="held", invalid=0.1, duplicates=0.1))
    paused = worker.submit(held)
    worker.wait_processed(paused, more_than=20)
    can_pause = worker.client.post(f"/bulk-actions/{paused}/pause").status_code == 200
    running = worker.submit(data)
    worker.wait_processed(running, more_than=60)
    wait_for(lambda: f"{_BASE}.retry.1" in worker.log.read_text(), "a chunk is in a retry topic")
    worker.kill()
    lost, lost_counts = recorder.file(Sample(30, seed=5, prefix="lost"))
    worker = recorder.worker(_KEPT, {"slow_writes": {"seconds": 600}, "drop": {"one_in": 1}})
    queued = worker.submit(lost)
    recorder.note(worker, "running", running, status="COMPLETED", **counts)
    recorder.note(worker, "queued", queued, status="COMPLETED", **lost_counts)
    if can_pause:
        recorder.note(worker, "paused", paused)
        recorder.actions["paused"]["resumed"] = {"status": "COMPLETED", **held_counts}
    else:
        recorder.note(worker, "paused", paused, status="COMPLETED", **held_counts)
    worker.kill()


def main() -> None:
    """Record a release."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--code", type=Path, default=ROOT, help="a checkout of the release")
    options.add_argument("--number", help="what the release will be called, where its code does not say so yet")
    chosen = options.parse_args()
    code = chosen.code.resolve()
    version = tomllib.loads((code / "pyproject.toml").read_text())["project"]["version"].rpartition(".")[0]
    target = ROOT / "tests/data" / f"release-{chosen.number or version}"
    # Workers and commands take the code of where they start.
    os.chdir(code)
    os.environ["PYTHONPATH"] = str(code)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with Stack(
            place / "stack", services=("kafka", "mongo", "redis"), ports="free", options=Options(mongo_in_memory=True)
        ) as stack:
            environment = {**namespace(stack, place), "KAFKA_TOPIC": _BASE}
            command = [sys.executable, "-m", "app", "keys", "create", "--account", "default", "--role", "admin"]
            environ = {**os.environ, **environment}
            key = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()
            recorder = Recorder(environment, place)
            for scene in (given_up, ended, under_way):
                scene(recorder)
            found = Installation.of(environment)
    expected = {"key": key, "actions": recorder.actions}
    target.mkdir(parents=True, exist_ok=True)
    (target / "installation.jsonl").write_text(found.to_text(), encoding="utf-8")
    (target / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    for name, documents in found.documents.items():
        print(f"{name}: {len(documents)}")
    for topic in topic_names("", 3):
        print(f"messages of {topic or 'the chunk topic'}: {sum(1 for _ in found.sent_to(topic))}")


if __name__ == "__main__":
    main()
