"""A receiver of traces, so that they can be looked at on one machine: OTLP over HTTP, one line of a file per span.

The file is begun anew when it has become large: it is for looking, not for keeping.

Source of the protocol: opentelemetry.io/docs/specs/otlp, "OTLP/HTTP", binary encoding.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stack.addresses import LOOPBACK
from stack.model import Place
from stack.spans import Span

#: Of the file, in the directory of the service.
FILE = "spans.jsonl"
#: Octets from which on the file is begun anew.
_LONGEST = 64 << 20
_LONGEST_REQUEST = 16 << 20
_PATH = "/v1/traces"


def command(place: Place) -> list[str]:
    """Return the command line of the receiver."""
    return [sys.executable, "-m", "stack.traces", place.host, str(place.port), str(place.directory / FILE)]


def decode(body: bytes) -> list[Span]:
    """Read an export request.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    # Only whoever receives traces needs them: they come with the tracing of the platform.
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            start=span.start_time_unix_nano / 1e9,
            end=span.end_time_unix_nano / 1e9,
            attributes={one.key: _value(one.value) for one in span.attributes},
            links=tuple(link.trace_id.hex() for link in span.links),
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    found = getattr(value, kind) if kind else None
    return found if isinstance(found, (str, int, float, bool)) else str(found)


class Receiver(ThreadingHTTPServer):
    """Receives traces at a port and appends them to a file."""

    daemon_threads = True

    def __init__(self, host: str, port: int, file: Path) -> None:
        super().__init__((host, port), _Handler)
        self._file = file
        self._lock = threading.Lock()

    def keep(self, spans: Sequence[Span]) -> None:
        """Append spans."""
        lines = "".join(f"{json.dumps(vars(span))}\n" for span in spans)
        with self._lock:
            large = self._file.exists() and self._file.stat().st_size > _LONGEST
            with self._file.open("w" if large else "a") as output:
                output.write(lines)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver
    #: An exporter that hangs must not keep a thread for ever, seconds.
    timeout = 60

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.path != _PATH or not 0 <= size <= _LONGEST_REQUEST:
            self.close_connection = True
            self._answer(404 if self.path != _PATH else 413, b"", "text/plain")
            return
        body = self.rfile.read(size)
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            spans = decode(body)
        except Exception as error:
            self._answer(400, f"{error}\n".encode(), "text/plain")
            return
        self.server.keep(spans)
        # An empty answer is one in which nothing was rejected.
        self._answer(200, b"", "application/x-protobuf")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: there is a request every few seconds."""


def main(host: str = LOOPBACK, port: str = "4318", file: str = FILE) -> None:
    """Receive traces until the process is ended."""
    Receiver(host, int(port), Path(file)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
