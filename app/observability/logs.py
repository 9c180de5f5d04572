"""What is logged: lines with fields, and no secret in any of them.

Every record, and every traceback that ends the process, is redacted. The factory of records is the one place that every
logger, handler and formatter has in common, those of Faust, of the drivers and of asyncio included. A filter would have
to be on each handler, and would not see tracebacks.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import structlog
from pydantic import SecretStr

from app.domain.redaction import redact, spellings
from app.settings import Settings

#: What the settings of this process hold, longest first, so that no secret is hidden by halves.
_secrets: tuple[str, ...] = ()


def hide(text: object) -> str:
    """Return a text, or what an error says, without secrets."""
    return redact(str(text), _secrets)


class EventLine(str):
    """The line for something that happened; where the log has fields, they are these.

    Attributes:
        what: what happened, without the fields.
        fields: the fields, none of them None.
    """

    __slots__ = ("fields", "what")
    what: str
    fields: Mapping[str, object]


def event(what: str, /, **fields: object) -> EventLine:
    """Return the line for something that happened: ``what: name=value name=value``; what is None is left out."""
    there = {name: value for name, value in fields.items() if value is not None}
    line = EventLine(f"{what}: " + " ".join(f"{name}={_shown(value)}" for name, value in there.items()))
    line.what, line.fields = what, there
    return line


#: Adds fields to whatever is logged inside the context, by this task and those that it starts.
log_context = structlog.contextvars.bound_contextvars


def _shown(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    # One line stays one line, and one value one value.
    return text if text.isprintable() and not re.search(r"\s|^$", text) else ascii(text)


class _Hidden:
    """A text of a record that formatters add to the line: a traceback, a stack, Faust's further data."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: logging.LogRecord | None, owner: type) -> Any:
        return None if record is None else record.__dict__.get(self._name)

    def __set__(self, record: logging.LogRecord, text: str | None) -> None:
        record.__dict__[self._name] = hide(text) if text else text


class Formatted(str):
    """A line as a formatter has made it, in whose texts nothing is to be hidden any more: it may be JSON."""

    __slots__ = ()


class RedactedRecord(logging.LogRecord):
    """A record whose texts have no secrets, however they are formatted."""

    exc_text = _Hidden()
    stack_info = _Hidden()
    extra = _Hidden()

    def getMessage(self) -> str:
        """Return the message with its arguments."""
        if isinstance(self.msg, Formatted):
            return self.msg
        return hide(super().getMessage())


def redact_logs(settings: Settings | None = None) -> None:
    """Redact what this process logs from now on, and the tracebacks of what nobody catches.

    With settings, the secrets in them are hidden wherever they turn up; without, what looks like a credential is.
    """
    global _secrets
    if settings is not None:
        _secrets = tuple(sorted(_values(settings), key=len, reverse=True))
    logging.setLogRecordFactory(RedactedRecord)
    sys.excepthook = _show
    threading.excepthook = _show_of_thread


def _values(settings: Settings) -> Iterable[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield from spellings(value.get_secret_value())


def _show_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_type is not SystemExit:  # a thread that ends itself is no fault
        _show(end.exc_type, end.exc_value, end.exc_traceback)


def _show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))
