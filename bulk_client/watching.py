"""Watching an action through server-sent events: what is known, and when to come again. No I/O is done here."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Final

from bulk_client.calls import segment
from bulk_client.errors import ApiError, BulkError, NetworkError, UnexpectedAnswer
from bulk_client.models import Statistics
from bulk_client.retrying import passes

#: Seconds between two looks, where no stream of events can be had or the server has not said.
POLL: Final = 2.0
#: Longest pause between two attempts, seconds.
_LONGEST: Final = 10.0


@dataclass(slots=True)
class Watching:
    """What a watcher knows.

    Attributes:
        action_id: What is watched.
        patience: Seconds for which the server may be away.
        last_event_id: Where the stream is to go on.
        pause: Seconds before the stream is asked for again.
        ended: Whether the end was told.
    """

    action_id: str
    patience: float
    last_event_id: str = ""
    pause: float = POLL
    ended: bool = False
    _failures: int = 0
    _last_answer: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The path of the stream."""
        return f"/bulk-actions/{segment(self.action_id)}/events"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request for the stream."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        return headers

    def take(self, event: str, data: str, event_id: str, retry: int | None) -> Statistics | None:
        """Take an event of the stream; None where it says nothing of the action.

        Raises:
            UnexpectedAnswer: it cannot be read.
        """
        if retry is not None:
            self.pause = min(retry / 1000, _LONGEST)
        if event not in ("status", "progress") or not data:
            return None
        try:
            told = Statistics.read(json.loads(data))
        except ValueError:
            raise UnexpectedAnswer("An event of the server cannot be read.") from None
        self.last_event_id = event_id
        return self.know(told)

    def know(self, told: Statistics) -> Statistics:
        """Take the counters, from wherever they came."""
        self._failures = 0
        self._last_answer = time.monotonic()
        self.ended = told.ended
        return told

    def fail(self, error: BulkError) -> float:
        """Return the seconds after which to try again; raises the error if that is no use, or was tried long enough."""
        lost = isinstance(error, NetworkError) or passes(error, repeatable=True)
        if isinstance(error, ApiError) and not lost and error.status >= 500:
            lost = True
        if not lost:
            raise error
        self._failures += 1
        pause = error.retry_after
        if pause is None:
            pause = min(_LONGEST, 0.25 * 2 ** min(self._failures, 8))
        if time.monotonic() + pause - self._last_answer > self.patience:
            raise error
        return pause
