"""What Faust says of itself, away by default: page-long tables, a banner, and alarms that mean nothing here.

``LOG_FAUST=verbose``, or ``-l debug``, brings all of it back. Warnings and errors of Faust, of its Kafka client and of
its services stay, but for the two templates below.
"""

from __future__ import annotations

import logging
from typing import Any

import faust
from faust.cli.worker import worker as worker_command

from app.observability.log_format import format_logs

log = logging.getLogger(__name__)

_LIBRARIES = ("faust", "mode", "aiokafka")
#: How a service of Faust begins each of its messages, whoever has subclassed it.
_SERVICE = "[^"
_FALSE_ALARMS = (
    # Of a partition that had nothing to commit yet, and again every few seconds.
    "Has not committed %r at all since worker start",
    # A turn of a timer that took longer than its interval: the next one waits for it, and nothing is lost.
    "Timer %s is overlapping",
)


class QuietFaust(logging.Filter):
    """Lets pass what an operator needs: everything of ours, and what libraries warn of."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        text = str(record.msg)
        if any(alarm in text for alarm in _FALSE_ALARMS):
            return False
        if record.levelno >= logging.WARNING:
            return True
        return not (record.name.partition(".")[0] in _LIBRARIES or text.startswith(_SERVICE))


class LoggingWorker(faust.Worker):  # type: ignore[misc]
    """Faust's worker with its log in our format, and without its spinner."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Format what the handlers get."""
        # From ``-l warn`` on it would turn with every record, those for debugging included, which all loggers would
        # make for that: half as much processor time again for each row.
        self.spinner = None
        super().on_setup_root_logger(logger, level)
        format_logs(logger.handlers, self.app.settings.log_format)


class QuietWorker(LoggingWorker):
    """A worker with the log of Faust filtered, and one line of ours when it is ready."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Filter what the handlers get, unless everything is wanted."""
        super().on_setup_root_logger(logger, level)
        if level > logging.DEBUG:
            for handler in logger.handlers:
                handler.addFilter(QuietFaust())

    async def on_startup_finished(self) -> None:
        """Say that the worker is ready."""
        await super().on_startup_finished()
        log.info("this worker is ready")


def without_banner() -> None:
    """Let the command `faust worker` start without its table of settings and versions."""
    worker_command.on_worker_created = _say_nothing


def _say_nothing(_command: Any, _worker: Any) -> None:
    pass
