"""How the log looks: a line of JSON for programs, or a line for people.

All loggers, those of Faust and of the drivers included, go through the standard logging; only the formatter is
structlog's. Each line has the fields of its event and those that are bound where it is logged (``log_context``): the
request, the account, the action, the chunk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal

import orjson
import structlog

from app.observability.logs import EventLine, Formatted, hide
from app.observability.tracing import trace_fields

#: auto: text on a terminal, else JSON.
LogFormat = Literal["auto", "json", "text"]

_Fields = MutableMapping[str, Any]


def format_logs(handlers: Iterable[logging.Handler], log_format: LogFormat) -> None:
    """Let handlers write in a format."""
    for handler in handlers:
        terminal = bool(getattr(getattr(handler, "stream", None), "isatty", bool)())
        handler.setFormatter(formatter(log_format, terminal=terminal))


def formatter(log_format: LogFormat, *, terminal: bool = False) -> logging.Formatter:
    """Return the formatter of a log; ``terminal`` says whether somebody looks at it."""
    if log_format == "text" or (log_format == "auto" and terminal):
        # No tracebacks with the values of variables in them, which structlog shows where rich is installed.
        plain = structlog.dev.plain_traceback
        show = structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=0, exception_formatter=plain)
        return _formatter(_line, show)
    return _formatter(_fields, _to_json)


def _formatter(read: Callable[[logging.LogRecord], Mapping[str, Any]], show: Any) -> logging.Formatter:
    def read_record(_logger: Any, _level: str, fields: _Fields) -> _Fields:
        # What the event itself says goes before what is bound.
        return {**fields, **trace_fields(), **structlog.contextvars.get_contextvars(), **read(fields["_record"])}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            read_record,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _hidden,
            lambda logger, level, fields: Formatted(show(logger, level, fields)),
        ],
        use_get_message=True,
    )


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {"event": record.msg.what, **record.msg.fields} if isinstance(record.msg, EventLine) else {}


def _line(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return of an event its line, and no field twice."""
    if not isinstance(record.msg, EventLine):
        return {}
    bound = structlog.contextvars.get_contextvars()
    rest = {name: value for name, value in bound.items() if name not in record.msg.fields}
    return {**dict.fromkeys(bound), **rest}


def _hidden(_logger: Any, _level: str, fields: _Fields) -> _Fields:
    """Hide secrets in all texts. A name and its value are looked at together: one may say that the other is secret."""
    return {name: _hidden_in(name, value) for name, value in fields.items() if value is not None}


def _hidden_in(name: str, value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return round(value, 3) if isinstance(value, float) else value
    # What cannot be encoded, as half of a surrogate pair, must not cost the line.
    return hide(f"{name}={value}").removeprefix(f"{name}=").encode(errors="backslashreplace").decode()


def _to_json(_logger: Any, _level: str, fields: _Fields) -> str:
    first = {name: fields.pop(name) for name in ("timestamp", "level", "logger", "event") if name in fields}
    return orjson.dumps({**first, **fields}).decode()
