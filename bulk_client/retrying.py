"""Which requests are tried again, and when: as ``Retry-After`` says, else after pauses that double."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_exponential,
    wait_random,
)

from bulk_client.errors import ApiError, BulkError, NetworkError

#: Told how many seconds are waited, and why.
OnWait = Callable[[float, BulkError], None]

#: Statuses of a request that was not carried out: it may always be sent again.
_NOT_NOW: Final = frozenset({429, 503})
#: Statuses by which a gateway says that it has no answer: the request may have been carried out.
_NO_ANSWER: Final = frozenset({502, 504})

#: Longest time for which a server is tried again that nobody answers at, seconds: its address may be wrong.
_UNREACHABLE: Final = 10.0
#: Shortest pause, seconds, whatever the server says.
_SHORTEST: Final = 0.1

_pauses = wait_exponential(multiplier=0.25, max=10.0) + wait_random(0, 0.25)


def passes(error: BaseException, *, repeatable: bool) -> bool:
    """Tell whether a request that failed so may be sent again.

    Args:
        error: How it failed.
        repeatable: Whether it may be carried out twice.
    """
    if isinstance(error, NetworkError):
        return repeatable or not error.sent
    if isinstance(error, ApiError):
        return error.status in _NOT_NOW or (repeatable and error.status in _NO_ANSWER)
    return False


def _options(patience: float, repeatable: bool, on_wait: OnWait | None) -> dict[str, Any]:
    def wait(state: RetryCallState) -> float:
        asked = getattr(_error_of(state), "retry_after", None)
        return _pauses(state) if asked is None else max(_SHORTEST, float(asked))

    def stop(state: RetryCallState) -> bool:
        # The pauses count, and not what an attempt takes: the upload of a large file may be tried again, too. Where the
        # server asks for a longer pause than there is patience, it is not waited for at all.
        error = _error_of(state)
        unreachable = isinstance(error, NetworkError) and not error.sent
        most = min(patience, _UNREACHABLE) if unreachable else patience
        return state.idle_for + state.upcoming_sleep > most

    def tell(state: RetryCallState) -> None:
        error = _error_of(state)
        if on_wait is not None and isinstance(error, BulkError):
            on_wait(state.upcoming_sleep, error)

    return {
        "retry": retry_if_exception(lambda error: passes(error, repeatable=repeatable)),
        "wait": wait,
        "stop": stop,
        "before_sleep": tell,
        "reraise": True,
    }


def _error_of(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def retrying(patience: float, *, repeatable: bool, on_wait: OnWait | None) -> Retrying:
    """Return what calls a function until it works, at most for ``patience`` seconds."""
    return Retrying(**_options(patience, repeatable, on_wait))


def async_retrying(patience: float, *, repeatable: bool, on_wait: OnWait | None) -> AsyncRetrying:
    """Return the same for a coroutine function."""
    return AsyncRetrying(**_options(patience, repeatable, on_wait))
