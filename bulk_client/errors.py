"""What can go wrong with a request, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class BulkError(Exception):
    """A request was not carried out, as far as is known; its text is one line for a person.

    Attributes:
        retry_after: Seconds after which the server asks to try again; None: it has not said.
    """

    retry_after: float | None = None


class BadSettings(BulkError):
    """The settings of the client cannot be used; the message names the one that is wrong."""


class NetworkError(BulkError):
    """The server cannot be reached, or the connection broke.

    Attributes:
        sent: Whether the server may have received the request.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedAnswer(BulkError):
    """What answered is not this API, or not in a version that this client knows."""


class ApiError(BulkError):
    """The server has refused the request, or could not carry it out.

    Attributes:
        status: The HTTP status.
        code: For a program, such as ``INVALID_HEADER``; empty where the answer was not the API's (that of a gateway).
        message: For a person.
        request_id: To be named when somebody is asked about it; empty: there was none.
        faults: All that is wrong with the request, each with ``field``, ``code`` and ``message``, where that is more
            than the message says.
        body: The whole answer.
    """

    def __init__(self, status: int, body: Mapping[str, Any], *, request_id: str, retry_after: float | None) -> None:
        # A 429 has a title in the place of the message.
        self.message = str(body.get("message") or body.get("error") or f"The server has answered {status}.")
        super().__init__(self.message)
        self.status = status
        self.code = str(body.get("code") or "")
        self.request_id = str(body.get("requestId") or request_id)
        self.retry_after = retry_after
        self.body = body
        faults = body.get("errors")
        self.faults: Sequence[Mapping[str, Any]] = (
            [fault for fault in faults if isinstance(fault, dict)] if isinstance(faults, list) else []
        )

    @property
    def refused(self) -> bool:
        """Whether the request is at fault, and not the server."""
        return 400 <= self.status < 500
