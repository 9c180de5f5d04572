"""What is told of spans, and which are made at all. Imported only where traces are on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span

log = logging.getLogger(__name__)


class InTraces(Sampler):
    """Leaves out commands to a database that belong to no trace: timers look at it every second.

    Args:
        sampler: decides on all others.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: SpanKind | None = None, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        """Tell whether a span is made."""
        alone = not get_current_span(parent_context).get_span_context().is_valid
        if kind == SpanKind.CLIENT and alone:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)

    def get_description(self) -> str:
        """Return its name."""
        return f"InTraces({self._sampler.get_description()})"


class TellingExporter(SpanExporter):
    """An exporter that says once that it fails, and once that it works again; what fails is dropped.

    Args:
        exporter: sends the spans.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. A thread of the SDK waits for it, nobody else."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            log.debug("traces: %r", error)
            result = SpanExportResult.FAILURE
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("traces cannot be exported, and are dropped until they can (said once)")
        elif self._away and not away:
            log.info("traces are exported again")
        self._away = away
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True


def without_text(span: Any, event: Any) -> None:
    """Say of a command that failed its code only: the text of a server may have values of rows."""
    span.set_status(Status(StatusCode.ERROR, str(event.failure.get("codeName") or event.failure.get("code") or "")))
