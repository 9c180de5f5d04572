"""The audit log: one line for each change that somebody has made, or was refused: who, from where, what, the result.

Its logger is ``audit``, so that it can be told apart; ``AUDIT_LOG`` sends it to a file of its own.
"""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path

from app.observability.log_format import LogFormat, format_logs
from app.observability.logs import event

log = logging.getLogger("audit")


def audit(operation: str, result: str, **fields: object) -> None:
    """Log a change, or what was refused or failed of one.

    Args:
        operation: what was to be done: the name of an operation of the API, or of a command.
        result: whether it was ``done``, was ``refused``, or has ``failed`` for a reason of ours.
        fields: who (``account``, ``by``, ``role``, ``source``), and what (``action``, ``letter``, ``key``, ...).
    """
    log.info(event("audit", operation=operation, result=result, **fields))


def send_audit_log(path: Path) -> None:
    """Send the audit log to the end of a file, and nowhere else; one that is moved away is made anew.

    Raises:
        OSError: the file cannot be written.
    """
    # Opened now: who relies on it learns at the start that it cannot be.
    _send_to(WatchedFileHandler(path, encoding="utf-8"), "json")


def show_audit_log(log_format: LogFormat) -> None:
    """Send the audit log to standard error: that of a command, which has no other log."""
    _send_to(logging.StreamHandler(), log_format)


def close_audit_log() -> None:
    """Send it again where the log goes."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True


def _send_to(handler: logging.Handler, log_format: LogFormat) -> None:
    format_logs([handler], log_format)
    close_audit_log()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
