"""Traces: what happened for an action, from its upload to its end, as spans of OpenTelemetry.

Off unless ``OTEL_TRACES_EXPORTER=otlp``; then nothing of OpenTelemetry is imported, and every function here returns at
once. What else is set are the standard variables (``OTEL_…``), which the SDK reads from the environment.

An action has one trace. Its root is the request that made it, and each window of chunks (``feed``) is a child of that,
whoever has asked for it: the context of the root travels with every message in a header of its own, beside that of the
sender, and stands in the action's document, for what begins hours later. Chunks are children of their window, results
children of their chunk.

No span has a value of a row, an account, or a query.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from app.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

#: Headers of a message: the span that it was sent in (W3C Trace Context), and the root of its action's trace.
TRACEPARENT, ROOT = "traceparent", "bulk-trace-root"

_FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: Settings that the SDK reads from the environment, where they may come from ``.env`` as well.
_VARIABLES = ("otel_exporter_otlp_endpoint", "otel_service_name", "otel_traces_sampler", "otel_traces_sampler_arg")
#: Longest wait for the last spans when a worker stops, seconds.
_LAST_EXPORT = 2.0
_SERVICE = "bulk-operations"

Attributes = Mapping[str, str | int | float | bool | None]

#: None: traces are off.
_tracer: Tracer | None = None
_provider: TracerProvider | None = None
#: The traceparent of the root of the trace that the present task works for.
_root: ContextVar[str | None] = ContextVar("trace_root", default=None)


def enabled() -> bool:
    """Tell whether spans are made."""
    return _tracer is not None


def start_tracing(settings: Settings) -> None:
    """Make spans from now on, if the settings ask for that, and send them away in batches, by a thread.

    Before any client of a database is made, whose commands are to be spans.

    Raises:
        ImportError: the packages for it are not installed.
    """
    if settings.otel_traces_exporter == "none":
        return
    for name in _VARIABLES:
        if (value := getattr(settings, name)) not in (None, ""):
            os.environ.setdefault(name.upper(), str(value))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from app.observability.span_export import TellingExporter

    # What these say of each batch that fails is said by the exporter here, once.
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    provider = install(BatchSpanProcessor(TellingExporter(OTLPSpanExporter())))
    _instrument(provider)
    log.info("traces are exported")


def install(processor: Any) -> TracerProvider:
    """Make spans from now on, and give them to a processor of the SDK."""
    global _tracer, _provider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    from app.observability.span_export import InTraces

    os.environ.setdefault("OTEL_SERVICE_NAME", _SERVICE)
    # Events are what libraries tell of exceptions, whose texts may have values of rows.
    provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False, span_limits=SpanLimits(max_events=0))
    provider.sampler = InTraces(provider.sampler)
    provider.add_span_processor(processor)
    _provider, _tracer = provider, provider.get_tracer(__name__)
    return provider


def stop_tracing() -> None:
    """Send what is left, if that is possible within seconds, and make no more spans."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        # The SDK would wait for an exporter that is away for as long as this tries.
        last = threading.Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_EXPORT)


@contextmanager
def span(name: str, attributes: Attributes | None = None) -> Iterator[Span | None]:
    """Make a span of what is done inside the context, as a child of the present one."""
    if _tracer is None:
        yield None
        return
    with _spanned(name, _kinds().INTERNAL, attributes) as made:
        yield made


@contextmanager
def request_span(name: str, headers: Mapping[str, str], attributes: Attributes) -> Iterator[Span | None]:
    """Make a span of a request, as a child of the client's where it sends one: a root of whatever follows from it."""
    if _tracer is None:
        yield None
        return
    parent = _context_of(headers.get(TRACEPARENT))
    with _spanned(name, _kinds().SERVER, attributes, parent) as made, _rooted(current_traceparent()):
        yield made


@contextmanager
def message_span(name: str, headers: Any, attributes: Attributes, *, of_root: bool = False) -> Iterator[Span | None]:
    """Make a span of handling a message, as a child of the one it was sent in.

    Args:
        name: what is done with it.
        headers: those of the message, as a client of Kafka has them.
        attributes: of the span.
        of_root: make it a child of the root of the trace, and link it to the one it was sent in.
    """
    if _tracer is None:
        yield None
        return
    sent = _headers_of(headers)
    sender, root = sent.get(TRACEPARENT), sent.get(ROOT)
    parent, links = (root, [sender]) if of_root and root is not None else (sender, [])
    context = _context_of(parent)
    linked = [link for link in links if link != parent]
    with _spanned(name, _kinds().CONSUMER, attributes, context, linked) as made, _rooted(root or current_traceparent()):
        yield made


@contextmanager
def continued(name: str, traceparent: str | None, attributes: Attributes) -> Iterator[Span | None]:
    """Make a span in the trace of an action, which began at another time; a trace of its own where it has none."""
    if _tracer is None:
        yield None
        return
    context = _context_of(traceparent)
    with (
        _spanned(name, _kinds().INTERNAL, attributes, context) as made,
        _rooted(traceparent if context is not None else current_traceparent()),
    ):
        yield made


def link_to(traceparent: str | None, meaning: str) -> None:
    """Link the present span to one of another trace."""
    if _tracer is None or (context := _context_of(traceparent)) is None:
        return
    from opentelemetry import trace

    trace.get_current_span().add_link(trace.get_current_span(context).get_span_context(), {"bulk.link": meaning})


def set_attributes(attributes: Attributes) -> None:
    """Say more of the present span; what is None is left out."""
    if _tracer is None:
        return
    from opentelemetry import trace

    trace.get_current_span().set_attributes({name: value for name, value in attributes.items() if value is not None})


def root_traceparent() -> str | None:
    """Return where the trace begins that the present task works for; None where there is none."""
    return None if _tracer is None else _root.get()


def current_traceparent() -> str | None:
    """Return the present span as a header has it; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_headers() -> Mapping[str, bytes]:
    """Return the headers with which a message goes on in the present trace."""
    if _tracer is None or (current := current_traceparent()) is None:
        return {}
    root = _root.get()
    return {TRACEPARENT: current.encode(), **({} if root is None else {ROOT: root.encode()})}


def trace_fields() -> Mapping[str, str]:
    """Return what the log says of the present span."""
    current = current_traceparent()
    return {} if current is None else {"trace_id": current[3:35], "span_id": current[36:52]}


@contextmanager
def _spanned(
    name: str,
    kind: Any,
    attributes: Attributes | None,
    context: Context | None = None,
    links: Sequence[str | None] = (),
) -> Iterator[Span]:
    from opentelemetry.trace import Link, StatusCode, get_current_span

    assert _tracer is not None  # noqa: S101 (all callers have looked)
    found = [other for link in links if (other := _context_of(link)) is not None]
    there = {name: value for name, value in (attributes or {}).items() if value is not None}
    with _tracer.start_as_current_span(
        name,
        context,
        kind,
        there,
        [Link(get_current_span(other).get_span_context()) for other in found],
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            # Its kind only: its text may have values of rows.
            made.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def _rooted(traceparent: str | None) -> Iterator[None]:
    token = _root.set(traceparent)
    try:
        yield
    finally:
        _root.reset(token)


def _context_of(traceparent: str | None) -> Context | None:
    """Return the context that a header describes; None where it describes none: anybody can send one."""
    if traceparent is None or not _FORM.fullmatch(traceparent):
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent}, Context())
    return context if get_current_span(context).get_span_context().is_valid else None


def _headers_of(headers: Any) -> Mapping[str, str]:
    pairs = headers.items() if hasattr(headers, "items") else headers or ()
    found: dict[str, str] = {}
    with contextlib.suppress(ValueError, TypeError):
        for name, value in pairs:
            if name in (TRACEPARENT, ROOT) and isinstance(value, bytes) and _FORM.fullmatch(value.decode()):
                found[name] = value.decode()
    return found


def _kinds() -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind


def _instrument(provider: TracerProvider) -> None:
    """Make spans of the commands to MongoDB and Redis, without what they say.

    Amazon's client has no instrumentation that waits as ours does; the stages of a chunk have its time.
    """
    from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    from app.observability.span_export import without_text

    PymongoInstrumentor().instrument(tracer_provider=provider, failed_hook=without_text, capture_statement=False)
    RedisInstrumentor().instrument(tracer_provider=provider)
