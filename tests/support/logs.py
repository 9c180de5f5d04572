"""The log of a worker, and of parts of the platform, line by line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.observability.log_format import LogFormat, formatter
from app.observability.logs import RedactedRecord


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The lines of a worker's log, of those that are JSON."""
    found = (line for line in log.read_text(errors="replace").splitlines() if line.startswith("{"))
    return [json.loads(line) for line in found]


class Written(io.StringIO):
    """What a logger has written."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of an event."""
        return [line for line in self.lines if line["event"] == event]


@contextmanager
def logged(log_format: LogFormat = "json", level: int = logging.INFO, name: str | None = None) -> Iterator[Written]:
    """What is logged inside the context, as a worker writes it."""
    logger, factory, written = logging.getLogger(name), logging.getLogRecordFactory(), Written()
    before, propagate = logger.level, logger.propagate
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter(log_format))
    logging.setLogRecordFactory(RedactedRecord)
    logger.addHandler(handler)
    logger.setLevel(level)
    # Of a logger that is named nobody else is to get what it says.
    logger.propagate = name is None
    try:
        yield written
    finally:
        logger.setLevel(before)
        logger.propagate = propagate
        logger.removeHandler(handler)
        logging.setLogRecordFactory(factory)
