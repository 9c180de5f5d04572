"""Traces: nothing of them while they are off; what spans say, and to whom they belong, while they are on."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from app.observability import tracing
from app.observability.logs import event
from app.observability.span_export import TellingExporter, without_text
from tests.support.logs import logged

TRACE, SENDER, ROOT = "ab" * 16, f"00-{'ab' * 16}-{'01' * 8}-01", f"00-{'ab' * 16}-{'02' * 8}-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that are made meanwhile."""
    exporter = InMemorySpanExporter()
    tracing.install(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop_tracing()


def finished(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    [found] = [one for one in exporter.get_finished_spans() if one.name == name]
    return found


def test_nothing_is_made_while_traces_are_off() -> None:
    with tracing.span("x") as made, tracing.continued("y", SENDER, {}) as also:
        assert made is None
        assert also is None
        assert tracing.trace_headers() == {}
        assert tracing.trace_fields() == {}
        assert tracing.current_traceparent() is None


@pytest.mark.parametrize("exporter", ["none", "otlp"])
def test_packages_are_needed_when_on_only(exporter: str) -> None:
    """A worker starts without them, and says what is missing only where traces are asked for."""
    program = f"""
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "opentelemetry":
            raise ImportError("No module named " + name)
sys.meta_path.insert(0, Missing())
import app.main
from app.settings import Settings
from app.observability.tracing import start_tracing
start_tracing(Settings(_env_file=None, otel_traces_exporter={exporter!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, "No module named opentelemetry" in ended.stderr) == (
        (0, False) if exporter == "none" else (1, True)
    )


def test_message_goes_on_in_its_trace(spans: InMemorySpanExporter) -> None:
    """What is sent while it is handled names its span, and the root that it came with."""
    headers = [("traceparent", SENDER.encode()), ("bulk-trace-root", ROOT.encode()), ("other", b"\xff")]
    with tracing.message_span("process", headers, {"chunk": 3, "account": None}):
        sent = tracing.trace_headers()
    made = finished(spans, "process")
    assert made.parent is not None
    assert f"{made.parent.span_id:016x}" == "01" * 8
    assert made.attributes == {"chunk": 3}
    assert sent["bulk-trace-root"] == ROOT.encode()
    assert made.context is not None
    assert sent["traceparent"] == f"00-{TRACE}-{made.context.span_id:016x}-01".encode()


def test_window_belongs_to_the_root(spans: InMemorySpanExporter) -> None:
    """Whoever has asked for it: else each window of a file would stand below the one before."""
    headers = {"traceparent": SENDER.encode(), "bulk-trace-root": ROOT.encode()}
    with tracing.message_span("feed", headers, {}, of_root=True):
        pass
    made = finished(spans, "feed")
    assert made.parent is not None
    assert f"{made.parent.span_id:016x}" == "02" * 8
    assert [f"{link.context.span_id:016x}" for link in made.links] == ["01" * 8]


@pytest.mark.parametrize(
    "headers", [None, [], [("traceparent", None)], [("traceparent", b"\xff")], {"traceparent": b"00-x"}, 7, [(1,)]]
)
def test_unreadable_headers_begin_a_trace(spans: InMemorySpanExporter, headers: Any) -> None:
    """Anybody can send any."""
    with tracing.message_span("process", headers, {}):
        pass
    assert finished(spans, "process").parent is None


def test_failure_is_told_by_its_kind(spans: InMemorySpanExporter) -> None:
    """Texts of errors may have values of rows."""
    with pytest.raises(ValueError, match="marked"), tracing.span("write"):
        raise ValueError("ada-marked@example.com")
    made = finished(spans, "write")
    assert made.status.description == "ValueError"
    assert "marked" not in made.to_json()


def test_refused_command_is_told_by_its_code(spans: InMemorySpanExporter) -> None:
    failure = {"codeName": "DuplicateKey", "code": 11000, "errmsg": "dup key: ada-marked@example.com"}
    with tracing.span("insert") as made:
        without_text(made, SimpleNamespace(failure=failure))
    assert finished(spans, "insert").status.description == "DuplicateKey"


def test_log_names_the_trace(spans: InMemorySpanExporter) -> None:
    with logged(name="app.traced") as written, tracing.continued("review", ROOT, {}):
        logging.getLogger("app.traced").info(event("x"))
    assert written.lines[0]["trace_id"] == TRACE


def test_commands_alone_are_no_traces(spans: InMemorySpanExporter) -> None:
    """A timer looks at the database every second."""
    assert tracing._tracer is not None
    tracing._tracer.start_span("find", kind=SpanKind.CLIENT).end()
    with tracing.span("feed"):
        tracing._tracer.start_span("update", kind=SpanKind.CLIENT).end()
    assert [one.name for one in spans.get_finished_spans()] == ["update", "feed"]


class Failing(SpanExporter):
    """An exporter that fails, or raises, as long as it is told to."""

    def __init__(self) -> None:
        self.ending: SpanExportResult | Exception = SpanExportResult.FAILURE

    def export(self, spans: Any) -> SpanExportResult:
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


def test_failing_export_is_told_once() -> None:
    inner = Failing()
    exporter = TellingExporter(inner)
    with logged(name="app.observability.span_export") as written:
        for ending in (SpanExportResult.FAILURE, OSError("away"), SpanExportResult.FAILURE, SpanExportResult.SUCCESS):
            inner.ending = ending
            exporter.export([])
    assert [line["level"] for line in written.lines] == ["warning", "info"]
