"""The log: one line of JSON for each thing that happens, or one for people, with whose it is, and nothing secret."""

from __future__ import annotations

import asyncio
import io
import logging
from types import SimpleNamespace

import pytest
from faust.utils import terminal

from app.kafka.worker import QuietWorker
from app.observability.log_format import LogFormat, format_logs
from app.observability.logs import event, log_context
from tests.support.logs import logged

log = logging.getLogger("app.log")
FORMATS: list[LogFormat] = ["json", "text"]


def test_fields_of_an_event_are_fields() -> None:
    """A program need not read sentences."""
    with logged() as written:
        log.info(event("action ended", action="6b04", rows=3, seconds=1.23456, error=None))
    [line] = written.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "app.log",
        "event": "action ended",
        "action": "6b04",
        "rows": 3,
        "seconds": 1.235,
    }


def test_text_is_one_readable_line() -> None:
    """For people it is one line, with each field once."""
    with logged("text") as written, log_context(action="6b04", request="r1"):
        log.info(event("action ended", action="6b04", note="two words"))
    assert "action ended: action=6b04 note='two words' [app.log] request=r1" in written.getvalue()
    assert written.getvalue().count("\n") == 1


async def test_tasks_log_their_own_context() -> None:
    """What one task has in hand is not said of another."""

    async def work(action: str) -> None:
        with log_context(action=action):
            await asyncio.sleep(0)
            log.info("working")

    with logged() as written:
        await asyncio.gather(work("a"), work("b"))
        log.info("idle")
    assert [line.get("action") for line in written.lines] == ["a", "b", None]


@pytest.mark.parametrize("log_format", FORMATS)
def test_nothing_secret_in_any_field(log_format: LogFormat) -> None:
    """Fields, what is bound, and tracebacks are redacted as messages are."""
    with logged(log_format) as written, log_context(cookie="marked"):
        log.info(event("x", password="marked", header="Bearer marked-Marked", uri="redis://:marked@cache"))
        log.warning("token %s", {"X-API-Key": "marked"})
        try:
            raise ValueError("mongodb://user:" + "marked@mongo")
        except ValueError:
            log.exception("failed")
    assert "Traceback" in written.getvalue()
    assert "marked" not in written.getvalue().replace('+ "marked@mongo"', "").replace('+ \\"marked@mongo\\"', "")


@pytest.mark.parametrize("log_format", FORMATS)
def test_variables_are_in_no_traceback(log_format: LogFormat) -> None:
    """A traceback says where, and not with which values."""

    def fail(row: str) -> None:
        raise ValueError("broken")

    with logged(log_format) as written:
        try:
            fail("ada@" + "example.com")
        except ValueError:
            log.exception("failed")
    assert "in fail" in written.getvalue()
    assert "ada@example.com" not in written.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "text",
    ['"quoted" \\ {brace}', "one\nmore", "half \ud800", 'password=\\"x\\" y'],
    ids=["quotes", "lines", "half a pair", "a secret"],
)
def test_any_text_is_one_line_of_the_log(log_format: LogFormat, text: str) -> None:
    with logged(log_format, name=log.name) as written:
        log.info(event("x", text=text))
        log.info("%s", text)
    if log_format == "json":
        assert len(written.lines) == 2
    assert written.getvalue().encode()


def test_server_tells_no_values_of_rows() -> None:
    """What MongoDB says of a document that it refuses has the values of the row."""
    told = 'E11000 duplicate key error index: email_1 dup key: { email: "ada@example.com" }'
    with logged() as written:
        log.warning("later: %r", OSError(f"{told}, full error: {{'errmsg': 'ada@example.com'}}"))
    assert "E11000" in written.getvalue()
    assert "example.com" not in written.getvalue()


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_only_what_is_shown_is_made(level: int) -> None:
    """A worker that shows warnings only makes no records for debugging."""
    logger = logging.Logger("root", level)
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    worker = object.__new__(QuietWorker)
    worker.app = SimpleNamespace(settings=SimpleNamespace(log_format="json"))
    worker.spinner = terminal.Spinner(file=io.StringIO())
    worker.on_setup_root_logger(logger, level)
    assert logger.level == level
    assert len(logger.handlers) == 1


def test_a_terminal_gets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a file gets JSON, and a terminal lines for people."""
    with logged() as written:
        [handler] = [one for one in logging.getLogger().handlers if getattr(one, "stream", None) is written]
        format_logs([handler], "auto")
        log.info("for a file")
        monkeypatch.setattr(written, "isatty", lambda: True)
        format_logs([handler], "auto")
        log.info("for people")
    first, second = written.getvalue().splitlines()
    assert first.startswith("{")
    assert "for people" in second
    assert not second.startswith("{")
