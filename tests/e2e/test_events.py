"""Actions told as they go, to clients that keep the connection open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from stack.samples import Sample
from tests.support.assertions import error_of
from tests.support.files import contacts_csv
from tests.support.waiting import wait_for
from tests.support.workers import Worker

StartWorker = Callable[..., Worker]
FILE = contacts_csv("1,Ada,ada@example.com,active")


class Event(NamedTuple):
    """An event as a browser gives it to its listeners."""

    name: str
    id: str
    data: dict[str, Any]
    at: float


def events(answer: httpx.Response) -> Iterator[Event]:
    """Read the events of a stream."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "event" in fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]), time.monotonic())
            fields = {}


def test_events_of_an_action(start_worker: StartWorker, tmp_path: Path) -> None:
    """A stream tells how an action goes on, from any worker, and ends with it."""
    worker, other = start_worker(), start_worker()
    expected = Sample(60_000, seed=3).write(tmp_path / "contacts.csv")
    action = worker.submit(tmp_path / "contacts.csv")
    with other.client.stream("GET", f"/bulk-actions/{action}/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        told = list(events(answer))
    assert (told[0].name, told[-1].name) == ("status", "status")
    shown = worker.client.get(f"/bulk-actions/{action}/stats").json()
    assert told[-1].data == {**shown, "updatedAt": told[-1].data["updatedAt"]}
    assert {name: told[-1].data[name] for name in expected.counts()} == expected.counts()
    processed = [event.data["processedCount"] for event in told]
    assert processed == sorted(processed)
    progress = [event.at for event in told if event.name == "progress"]
    # Told no more often than every 250 ms; what lies on the way may shorten a gap.
    assert len(progress) <= 4 * (told[-1].at - told[0].at) + 2


def test_events_of_an_account(start_worker: StartWorker) -> None:
    """An account is told of its own actions, from the moment at which it listens."""
    worker = start_worker()
    acme = {"accountid": "acme-events"}
    with worker.client.stream("GET", "/events", headers=acme) as answer:
        worker.submit(FILE)
        made = worker.client.post(
            "/bulk-actions",
            data={"actionType": "BULK_UPDATE", "entityType": "Contact"},
            files={"file": ("c.csv", FILE, "text/csv")},
            headers=acme,
        ).json()["actionId"]
        for event in events(answer):
            assert event.data["actionId"] == made
            if event.data["status"] == "COMPLETED":
                break


def test_ended_action_is_told_once(start_worker: StartWorker) -> None:
    """Who comes again to an action whose end it knows is told that there is nothing more."""
    worker = start_worker()
    action = worker.submit(FILE)
    ended = worker.wait_ended(action)
    path = f"/bulk-actions/{action}/events"
    with worker.client.stream("GET", path) as answer:
        [last] = events(answer)
    assert last.data["status"] == ended["status"] == "COMPLETED"
    assert worker.client.get(path, headers={"Last-Event-ID": last.id}).status_code in (200, 204)
    for unknown in ("0", "nonsense", "9" * 40, "-1"):
        with worker.client.stream("GET", path, headers={"Last-Event-ID": unknown}) as answer:
            assert [event.data for event in events(answer)] == [last.data]
    assert worker.client.head(path).status_code == 200
    assert error_of(worker.client.get(f"/bulk-actions/{'0' * 24}/events"))[:2] == (404, "ACTION_NOT_FOUND")
    assert error_of(worker.client.get(path, headers={"accountid": "else"}))[:2] == (404, "ACTION_NOT_FOUND")


def test_stop_ends_streams(start_worker: StartWorker) -> None:
    """A worker that stops ends its streams cleanly, and does not wait for their clients."""
    worker = start_worker()
    told: list[Event] = []
    with worker.client.stream("GET", "/events") as answer:
        reading = threading.Thread(target=lambda: told.extend(events(answer)))
        reading.start()
        began = time.monotonic()
        assert worker.stop() == 0
        reading.join(30)
        assert not reading.is_alive()
    assert time.monotonic() - began < 30


def test_stream_ends_after_a_while(start_worker: StartWorker) -> None:
    """A stream ends when it has lasted long enough, whatever its action does."""
    worker = start_worker(EVENT_STREAM_SECONDS="0")
    action = worker.submit(FILE, scheduledAt="2027-01-01T00:00:00Z")
    assert worker.client.get("/events").text.startswith("retry: ")
    with worker.client.stream("GET", f"/bulk-actions/{action}/events") as answer:
        assert [event.data["status"] for event in events(answer)] == ["SCHEDULED"]


def test_streams_are_limited(start_worker: StartWorker) -> None:
    """An account, and a worker, has so many streams and no more; one that ends makes room."""
    worker = start_worker(MAX_EVENT_STREAMS="2", MAX_EVENT_STREAMS_PER_ACCOUNT="1")
    with worker.client.stream("GET", "/events", headers={"accountid": "one"}):
        refused = worker.client.get("/events", headers={"accountid": "one"})
        assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_OPEN_STREAMS")
        assert refused.headers["Retry-After"] == "5"
        with worker.client.stream("GET", "/events", headers={"accountid": "two"}):
            refused = worker.client.get("/events", headers={"accountid": "three"})
            assert error_of(refused)[:2] == (503, "TOO_MANY_STREAMS")
            assert refused.headers["Retry-After"]

    def there_is_room() -> bool:
        with worker.client.stream("GET", "/events", headers={"accountid": "one"}) as answer:
            return answer.status_code == 200

    wait_for(there_is_room, "there is room again")
