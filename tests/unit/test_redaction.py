"""What is hidden in a text, and what is left as it is."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.domain.api_keys import new_key
from app.domain.redaction import HIDDEN, redact, spellings
from app.observability.logs import RedactedRecord, redact_logs
from app.settings import Settings
from tests.support.issuer import token

HIDDEN_IN = [
    "mongodb://user:marked@mongo:27017/bulk",
    "waiting for MongoDB: mongodb+srv://marked:marked@cluster.example/?a=b timed out",
    "redis://:marked@cache:6379/0",
    "redis://user:mar/ked@marked@cache:6379/0",
    "{'REDIS_URI': 'rediss://marked@cache'}",
    "X-API-Key: marked-marked",
    "<CIMultiDict('X-API-Key': 'marked', 'Host': 'x')>",
    "(b'x-api-key', b'marked')",
    "Authorization: Bearer marked.marked-marked_marked",
    "'Authorization': 'Basic bWFya2VkOm1hcmtlZA=='",
    "authorization=Digest-marked",
    "{'password': 'marked'}",
    "aws_secret_access_key=marked",
    '"AWS_SECRET_ACCESS_KEY": "marked/+marked"',
    "https://bucket.example/x?X-Amz-Signature=marked&b=c",
    "X-Amz-Security-Token: marked",
    "Cookie: marked=marked",
]

LEFT = [
    "action 6b04d285235ca65e4442eb33 not announced, the dispatcher will: TimeoutError()",
    "waiting for Redis: Error 111 connecting to 127.0.0.1:1. Connection refused.",
    "request 3f: refused: Please send an API key (X-API-Key) or a bearer token (Authorization).",
    "kafka://127.0.0.1:9092;kafka://broker:9092",
    "file:///var/lib/bulk/uploads",
    "row 3: email is not an email address: nobody@",
    "ada@example.com wrote to grace@example.com",
    "http://127.0.0.1:3000/bulk-actions?limit=1",
    "Basic operations of a bearer",
]


@pytest.mark.parametrize("text", HIDDEN_IN)
def test_credentials_are_hidden(text: str) -> None:
    """What looks like a credential is hidden."""
    assert "mar" not in redact(text), redact(text)
    assert HIDDEN in redact(text)
    assert "bWFya" not in redact(text)


def test_own_keys_and_tokens_are_hidden() -> None:
    """Keys and tokens of this platform are hidden wherever they stand."""
    key, jwt = new_key(), token()
    text = redact(f"got {key} and {jwt}, or '{jwt}'")
    assert key[5:] not in text
    assert not any(part in text for part in jwt.split("."))


@pytest.mark.parametrize("text", LEFT)
def test_other_text_is_left_alone(text: str) -> None:
    """What is no credential is left as it is."""
    assert redact(text) == text


@given(st.text())
def test_redaction_is_idempotent(text: str) -> None:
    """Any text can be redacted, and doing it twice is the same as once."""
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("character", ["a", "@", "://", "eyJ.", "bulk_", "Bearer ", "password="])
def test_a_long_text_does_not_take_long(character: str) -> None:
    began = time.process_time()
    redact(character * 20_000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("a plain secret", "it is a plain secret."),
        ("mongodb://user:p%40ss%2Fword@mongo/bulk", "the password p@ss/word is wrong"),
        ("mongodb://user:p%40ss%2Fword@mongo/bulk", "the password p%40ss%2Fword is wrong"),
        ("with 'quotes' and \"more\"\n", repr("x with 'quotes' and \"more\"\n")),
    ],
)
def test_known_secret_is_hidden(secret: str, written: str) -> None:
    """A known secret is hidden however it is written."""
    hidden = redact(written, sorted(spellings(secret), key=len, reverse=True))
    assert HIDDEN in hidden
    assert not any(form in hidden for form in spellings(secret))


@pytest.mark.parametrize("secret", ["", "abc", "redis://127.0.0.1:6379/0", "mongodb://[bad"])
def test_empty_secrets_are_ignored(secret: str) -> None:
    """What is no secret is not looked for."""
    assert spellings(secret) == frozenset()


# Logs


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the program logs, at every level, formatted as by default."""
    factory, hook = logging.getLogRecordFactory(), sys.excepthook
    redact_logs(Settings(_env_file=None, redis_uri=SecretStr("redis://:kept-from-view@cache")))
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger("redaction").addHandler(handler)
    yield written
    logging.getLogger("redaction").removeHandler(handler)
    logging.setLogRecordFactory(factory)
    sys.excepthook = hook
    redact_logs(Settings(_env_file=None))
    logging.setLogRecordFactory(factory)
    sys.excepthook = hook


def test_log_records_have_no_secrets(log: io.StringIO) -> None:
    """Messages, arguments, tracebacks and stacks have no secrets."""
    logger = logging.getLogger("redaction")
    assert isinstance(logger.makeRecord("x", 30, "", 0, "", (), None), RedactedRecord)
    logger.warning("kept-from-view")
    logger.warning("%s and %r", "redis://:marked@cache", {"X-API-Key": "marked"})
    logger.warning("%(password)s", {"password": "kept-from-view"})
    try:
        raise ValueError("Bearer marked-marked") from OSError("kept-from-view")
    except ValueError:
        logger.exception("failed")
    logger.warning("here", stack_info=True)
    said = log.getvalue()
    assert "Traceback" in said
    assert "OSError" in said
    assert "Stack (most recent call last)" in said
    assert "marked" not in said
    assert "kept-from-view" not in said.replace('logger.warning("kept-from-view")', "").replace(
        'from OSError("kept-from-view")', ""
    ).replace('{"password": "kept-from-view"}', "")


def test_last_traceback_has_no_secrets() -> None:
    """The traceback that ends a program has no secrets."""
    program = (
        "from app.observability.logs import redact_logs; redact_logs(); "
        "raise OSError('mongodb://user:' + 'mar' + 'ked@mongo')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Traceback" in ended.stderr
    assert "marked" not in ended.stdout + ended.stderr
    assert "mongodb://***@mongo" in ended.stderr
