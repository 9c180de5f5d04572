"""How the traces that were received are shown."""

from __future__ import annotations

import json
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stack.spans import Span, lines, read, traces_of, tree
from stack.traces import decode


def span(name: str, parent: str = "", *, trace: str = "t1", start: float = 0.0, **known: object) -> Span:
    return Span(trace, name, parent, name, start, start + 1, **known)  # type: ignore[arg-type]


def test_request_is_decoded() -> None:
    request = ExportTraceServiceRequest()
    sent = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=b"\x01" * 16,
            span_id=b"\x02" * 8,
            name="upload",
            start_time_unix_nano=10**9,
            end_time_unix_nano=2 * 10**9,
        )
    )
    sent.attributes.add(key="rows").value.int_value = 7
    sent.attributes.add(key="names").value.array_value.values.add(string_value="a")
    sent.links.add(trace_id=b"\x03" * 16, span_id=b"\x04" * 8)
    sent.status.code = sent.status.STATUS_CODE_ERROR
    [found] = decode(request.SerializeToString())
    assert found == Span(
        "01" * 16, "02" * 8, "", "upload", 1.0, 2.0, {"rows": 7, "names": ["a"]}, links=("03" * 16,), failed=True
    )


def test_children_stand_behind_parents() -> None:
    """The earliest first, whatever the order in which they came; one whose parent is lost stands like a root."""
    spans = [span("c2", "a", start=5), span("d", "c1", start=3), span("c1", "a", start=2), span("a"), span("x", "lost")]
    assert [(depth, found.name) for depth, found in tree(spans)] == [(0, "a"), (1, "c1"), (2, "d"), (1, "c2"), (0, "x")]


def test_trace_of_action_with_its_links() -> None:
    spans = [
        span("upload", attributes={"action": "A"}),
        span("chunk", "upload"),
        span("retry", trace="t2", start=9, links=("t1",)),
        span("other", trace="t3", attributes={"action": "B"}),
    ]
    found = traces_of(spans, "A")
    assert [[one.name for one in trace] for trace in found] == [["upload", "chunk"], ["retry"]]
    assert traces_of(spans, "C") == []


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    """The receiver may be writing it."""
    file = tmp_path / "spans"
    assert list(read(file)) == []
    file.write_text(json.dumps(vars(span("a", links=("t0",)))) + "\n" + '{"trace": "t')
    assert list(read(file)) == [span("a", links=("t0",))]


def test_lines_say_when_and_how_long() -> None:
    shown = list(lines([span("upload", attributes={"action": "A"}), span("chunk", "upload", start=0.5, failed=True)]))
    assert shown[0] == "trace t1: 2 spans, 1500 ms"
    assert shown[1].startswith("     0.0   1000.0 |━━━━━━━━━━━━━━━━        | upload action=A")
    assert shown[2].startswith("   500.0   1000.0 |        ━━━━━━━━━━━━━━━━|   ! chunk")
