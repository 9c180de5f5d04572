"""What must not be seen in a log is hidden in any text: known secrets, what looks like a credential, values of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus, unquote, urlsplit

#: Stands where a secret was.
HIDDEN = "***"

#: A known secret that is shorter is not looked for: it would be found in words that have nothing to do with it.
_SHORTEST = 4

_VALUE = r"[^\s\"'&,;)}\]>]+"

_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # scheme://user:password@host, also where the password has an @ or a / in it. What has no @ is matched as well, as a
    # whole: otherwise each :// in it would be tried to its end.
    (
        re.compile(r"://[^\s\"'<>@]*+((?:@[^\s\"'<>@/?]*)*@)?"),
        lambda found: f"://{HIDDEN}@" if found[1] else found[0],
    ),
    # What a server of MongoDB says of a document that it refuses: its values, which are of whoever uploaded it
    (re.compile(r"(dup key: |full error: )\{.*\}"), rf"\1{HIDDEN}"),
    # RFC 7617, RFC 6750
    (re.compile(r"\b((?i:bearer|basic)\s+)(?=\S*[0-9A-Z._~+/=-])[A-Za-z0-9._~+/=-]{6,}"), rf"\1{HIDDEN}"),
    # RFC 7515: header and payload are JSON objects, so both begin with {" in base64
    (re.compile(r"\beyJ[\w-]*\.[\w-]*\.[\w-]*"), HIDDEN),
    # API keys of this platform (app/domain/api_keys.py)
    (re.compile(r"\bbulk_[A-Za-z0-9_-]{16,}"), HIDDEN),
    # headers and parameters that carry one, however they are written: X-API-Key: …, ('x-api-key', '…'), api_key=…
    (
        re.compile(
            r"((?:x-api-key|api[_-]?key|authorization|cookie|password|passwd|pwd|secret[_-]?access[_-]?key|"
            r"session[_-]?token|security[_-]?token|client[_-]?secret|access[_-]?token|x-amz-signature|signature)"
            rf"[\"']?\s*[:=,]\s*b?[\"']?)(?:(?:bearer|basic)\s+)?{_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without these secrets, and without what looks like a credential."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def spellings(secret: str) -> frozenset[str]:
    """Return how a secret may be written in a text: as it is, and as URLs and Python's ``repr`` write it.

    Of a URL it is the password alone; a URL without one is no secret, nor is a text of less than 4 characters.
    """
    if "://" in secret:
        secret = _password(secret)
    forms = {secret, unquote(secret)}
    forms |= {quoted(form) for form in tuple(forms) for quoted in (quote, quote_plus, _as_repr)}
    return frozenset(form for form in forms if len(form) >= _SHORTEST)


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _as_repr(text: str) -> str:
    return repr(text)[1:-1]
