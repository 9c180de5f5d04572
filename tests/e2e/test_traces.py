"""Traces: what happened for an action, from its upload to its end, is one tree of spans, with nothing of its rows."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from app.domain.dead_letters import Origin
from app.domain.timestamps import iso_utc
from app.kafka.messages import Feed
from app.kafka.retry_headers import RetryHeaders
from stack import Stack
from stack.addresses import free_port
from stack.spans import Span, read
from stack.traces import FILE, Receiver
from tests.support.logs import lines_of
from tests.support.namespaces import namespace
from tests.support.waiting import wait_for
from tests.support.workers import Worker

ROWS = 50
CHUNKS = 5
STAGES = ["read", "parse", "claim", "compare", "write", "ledger"]


def contacts(name: str, *, failing: bool = False) -> bytes:
    email = "nobody-marked" if failing else "{}-marked@example.com"
    rows = [f"{name}-marked-{i},Ada-marked,{email.format(f'{name}{i}')},active" for i in range(ROWS)]
    return "\n".join(["id,name,email,status", *rows, ""]).encode()


class Closing(Receiver):
    """A receiver that, when it goes away, breaks the connections that it has, as a process does that dies."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def go_away(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Traced:
    """A worker whose spans are received here."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.file = directory / FILE
        self.port = free_port()
        self.receive()
        self.worker = Worker(
            {
                **environment,
                "BATCH_SIZE": str(ROWS // CHUNKS),
                "FEED_WINDOW": "2",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            },
            directory / "worker",
        )

    def receive(self) -> None:
        self.receiver = Closing("127.0.0.1", self.port, self.file)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()

    def trace_of(self, action_id: str) -> list[Span]:
        """The spans of the trace in which an action was made, when its end is among them."""

        def found() -> list[Span] | None:
            spans = list(read(self.file))
            made = [one.trace for one in spans if one.name.startswith("POST") and one.attributes["action"] == action_id]
            trace = [one for one in spans if made and one.trace == made[0]]
            ended = {one.parent for one in trace if one.name == "end action"}
            return trace if ended & {one.id for one in trace} else None

        return wait_for(found, f"the spans of {action_id}")


@pytest.fixture(scope="module")
def traced(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    directory = tmp_path_factory.mktemp("traced")
    traced = Traced(namespace(services, directory), directory)
    try:
        traced.worker.start()
        yield traced
    finally:
        traced.worker.kill()
        traced.worker.client.close()
        traced.receiver.go_away()


def submit(traced: Traced, content: bytes, **fields: str) -> str:
    action_id = traced.worker.submit(content, **fields)
    traced.worker.wait_ended(action_id)
    return action_id


def named(spans: list[Span], name: str) -> list[Span]:
    return [one for one in spans if one.name == name]


def assert_whole(spans: list[Span], action_id: str) -> Span:
    """One root, every chunk once, and each span where it belongs. Returns the root."""
    [root] = [one for one in spans if not one.parent]
    by_id = {one.id: one for one in spans}
    assert all(one.parent in by_id for one in spans if one.parent)
    assert root.name == "POST /bulk-actions"
    feeds, chunks, counts = named(spans, "feed"), named(spans, "process"), named(spans, "count")
    assert {one.parent for one in feeds} <= {root.id, *(one.id for one in named(spans, "announce"))}
    assert sorted(one.attributes["chunk"] for one in chunks) == list(range(CHUNKS))
    assert {by_id[one.parent].name for one in chunks} == {"feed"}
    assert {by_id[one.parent].name for one in counts} == {"process"}
    for one in chunks:
        assert one.attributes["action"] == action_id
        assert one.attributes["rows"] == ROWS // CHUNKS
        inside = [other.name for other in spans if other.parent == one.id]
        assert set(STAGES) <= set(inside)
    [end] = named(spans, "end action")
    assert by_id[end.parent].name == "count"
    return root


def test_upload_is_one_tree(traced: Traced) -> None:
    """From the request through windows, chunks and results to the end, across Kafka."""
    action_id = submit(traced, contacts("one"))
    spans = traced.trace_of(action_id)
    root = assert_whole(spans, action_id)
    assert root.attributes["http.response.status_code"] == 201
    # Beyond the first window, each was asked for by a result, to whose span it is linked.
    assert len(named(spans, "feed")) > 1
    assert all(one.links for one in named(spans, "feed")[1:])
    [end] = named(spans, "end action")
    assert (end.attributes["status"], end.attributes["successCount"]) == ("COMPLETED", ROWS)
    assert {one.name.rpartition(".")[2] for one in spans} >= {"insert", "find"}, "the database"
    assert any(one.attributes.get("db.system") == "redis" for one in spans)


def test_nothing_of_the_rows_is_told(traced: Traced) -> None:
    """Neither by spans nor by the log, of rows that go well and of those that fail."""
    good, bad = submit(traced, contacts("two")), submit(traced, contacts("three", failing=True))
    for action_id in (good, bad):
        assert traced.trace_of(action_id)
    assert "marked" not in traced.file.read_text()
    assert "marked" not in traced.worker.log.read_text(errors="replace")


def test_scheduled_action_goes_on_in_its_trace(traced: Traced) -> None:
    """However much later: where it was made stands in its document."""
    at = iso_utc(datetime.now(UTC) + timedelta(seconds=2))
    assert at is not None
    action_id = submit(traced, contacts("four"), scheduledAt=at)
    assert_whole(traced.trace_of(action_id), action_id)


def test_retry_is_linked_to_the_original(traced: Traced) -> None:
    original = submit(traced, contacts("five", failing=True))
    before = traced.trace_of(original)[0].trace
    # What it leaves to be cleaned up is settled in its own trace as well.
    made = traced.worker.client.post(f"/bulk-actions/{original}/retry").json()["actionId"]
    traced.worker.wait_ended(made)
    spans = traced.trace_of(made)
    [root] = [one for one in spans if not one.parent]
    assert root.name == "POST /bulk-actions/{action_id}/retry"
    assert root.trace != before
    assert before in root.links
    assert len(named(spans, "process")) == CHUNKS


def test_client_may_have_begun_the_trace(traced: Traced) -> None:
    """An upload is a part of the trace that its client is in, and the log says which."""
    trace, parent = "ab" * 16, "cd" * 8
    form = {"actionType": "BULK_UPDATE", "entityType": "Contact"}
    answer = traced.worker.client.post(
        "/bulk-actions",
        data=form,
        files={"file": ("x.csv", contacts("six"))},
        headers={"traceparent": f"00-{trace}-{parent}-01"},
    )
    action_id = answer.json()["actionId"]
    traced.worker.wait_ended(action_id)
    spans = traced.trace_of(action_id)
    assert {one.trace for one in spans} == {trace}
    [root] = [one for one in spans if one.name == "POST /bulk-actions"]
    assert root.parent == parent
    told = [line for line in lines_of(traced.worker.log) if line["event"] == "action ended"]
    assert {line["trace_id"] for line in told if line["action"] == action_id} == {trace}


async def test_redelivery_goes_on_in_its_trace(traced: Traced) -> None:
    """What waits in a retry topic comes back as a part of the trace in which it failed."""
    action_id = submit(traced, contacts("thirteen"))
    trace, root, failed = "ef" * 16, "01" * 8, "02" * 8
    settings = traced.worker.environment
    topic = settings["KAFKA_TOPIC"]
    history = RetryHeaders(Origin(f"{topic}.feed", 0, 0), 1, "2026-01-31T09:00:00.000+00:00", "it failed")
    headers = [
        *history.to_headers().items(),
        ("traceparent", f"00-{trace}-{failed}-01".encode()),
        ("bulk-trace-root", f"00-{trace}-{root}-01".encode()),
    ]
    message = Feed(action_id=action_id)
    async with AIOKafkaProducer(bootstrap_servers=settings["KAFKA_BROKER"].rpartition("/")[2]) as producer:
        await producer.send_and_wait(f"{topic}.retry.1", message.encode(), message.key.encode(), headers=headers)

    def found() -> dict[str, Span] | None:
        spans = {one.name: one for one in read(traced.file) if one.trace == trace}
        return spans if "feed" in spans else None

    spans = wait_for(found, "it is handled again")
    assert spans["redeliver"].parent == failed
    assert spans["feed"].parent == root
    assert spans["feed"].attributes["action"] == action_id


@pytest.mark.parametrize("sent", ["", "marked", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-" + "x" * 52])
def test_broken_trace_header_begins_a_trace(traced: Traced, sent: str) -> None:
    """Anybody can send one."""
    answer = traced.worker.client.get("/entities", headers={"traceparent": sent})
    assert answer.status_code == 200


def test_timers_make_no_traces(traced: Traced) -> None:
    """What the dispatcher looks at every second belongs to no action."""
    submit(traced, contacts("seven"))
    roots = {one.name for one in read(traced.file) if not one.parent}
    assert {name.partition(" ")[0] for name in roots} <= {"POST", "GET"}


def test_absent_receiver_costs_nothing(traced: Traced) -> None:
    """Nothing waits for it, and the log says once that it is away, and once that it is there again."""
    traced.receiver.go_away()
    for name in ("eight", "nine", "ten"):
        submit(traced, contacts(name))

    def told() -> list[dict[str, Any]]:
        return [line for line in lines_of(traced.worker.log) if "traces" in line["event"]]

    wait_for(lambda: any("cannot be exported" in line["event"] for line in told()), "it says so")
    traced.receive()

    def again() -> bool:
        submit(traced, contacts("twelve"))
        return any("exported again" in line["event"] for line in told())

    wait_for(again, "it says that it is there again")
    assert [line["level"] for line in told()] == ["info", "warning", "info"]
    others = {line["logger"] for line in lines_of(traced.worker.log) if line["level"] in ("warning", "error")}
    assert not [name for name in others if name.startswith(("opentelemetry", "urllib3"))]
