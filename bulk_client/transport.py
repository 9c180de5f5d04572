"""What both clients share of HTTP: how a request is made of a call, and an error of an answer."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import httpx

from bulk_client.calls import Call
from bulk_client.errors import ApiError, BadSettings, NetworkError
from bulk_client.settings import Connection

#: Seconds that a connection may take.
_CONNECT: Final = 10.0
#: Seconds without a sign of life after which a stream of events is taken for dead; one is sent every 15.
_SILENCE: Final = 45.0
#: Failures before anything of a request was sent.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def _user_agent() -> str:
    try:
        return f"bulk-client/{version('bulk-operations')}"
    except PackageNotFoundError:
        return "bulk-client"


def client_options(connection: Connection) -> dict[str, Any]:
    """Return the arguments of an httpx client for a connection.

    Raises:
        BadSettings: the file of certificates cannot be used.
    """
    headers = {"User-Agent": _user_agent()}
    if connection.api_key is not None:
        headers["X-API-Key"] = connection.api_key
    if connection.token is not None:
        headers["Authorization"] = f"Bearer {connection.token}"
    if connection.account is not None:
        headers["accountid"] = connection.account
    verify: ssl.SSLContext | bool = True
    if connection.ca_file is not None:
        try:
            verify = ssl.create_default_context(cafile=connection.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(f"The file of certificates {connection.ca_file} cannot be used: {error}.") from None
    return {
        "base_url": connection.url,
        "headers": headers,
        "verify": verify,
        "timeout": httpx.Timeout(connection.timeout or None, connect=min(_CONNECT, connection.timeout or _CONNECT)),
    }


def request_options(call: Call[Any]) -> dict[str, Any]:
    """Return the arguments of ``build_request`` for a call."""
    options: dict[str, Any] = {
        "method": call.method,
        "url": call.path,
        "params": {name: value for name, value in call.query.items() if value is not None},
        "headers": {"Accept": "application/json, */*;q=0.5", **call.headers},
    }
    if call.json is not None:
        options["json"] = call.json
    if call.file is not None:
        name, reader = call.file
        options["data"] = dict(call.form)
        options["files"] = {"file": (name, reader, "text/csv")}
    return options


def event_options(path: str, headers: dict[str, str], timeout: float) -> dict[str, Any]:
    """Return the arguments of a request for a stream of events."""
    return {"method": "GET", "url": path, "headers": headers, "timeout": httpx.Timeout(timeout or None, read=_SILENCE)}


def has_events(response: httpx.Response) -> bool:
    """Tell whether an answer is a stream of events; a 204, which says that the end is known, is none."""
    media_type: str = response.headers.get("Content-Type", "")
    return media_type.startswith("text/event-stream")


@contextmanager
def network_errors(url: str) -> Iterator[None]:
    """Raise what goes wrong on the way as ``NetworkError``, in one line without a secret."""
    try:
        yield
    except httpx.TransportError as error:
        why = str(error).strip().splitlines()
        said = why[0] if why else type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            said = "there was no answer in time"
        raise NetworkError(
            f"{url} cannot be reached: {said.rstrip('.')}.", sent=not isinstance(error, _UNSENT)
        ) from None
    except httpx.InvalidURL as error:
        raise BadSettings(f"The URL cannot be used: {error}") from None


def error_of(response: httpx.Response) -> ApiError:
    """Return the error that an answer is, which has been read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    if response.is_redirect and not body:
        body = {"error": f"The server sends to {response.headers.get('Location', 'another address')}: check the URL."}
    elif not body:
        body = {"error": f"The server has answered {response.status_code} {response.reason_phrase}."}
    request_id = response.headers.get("X-Request-ID", "")
    return ApiError(
        response.status_code, body, request_id=request_id, retry_after=_seconds(response.headers.get("Retry-After"))
    )


def _seconds(text: str | None) -> float | None:
    """Return a ``Retry-After`` as seconds from now; it may be a date."""
    if text is None:
        return None
    try:
        return max(0.0, float(text)) if text.strip().isascii() else None
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
