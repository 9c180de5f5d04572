"""Long requests: how many of a kind there may be at once, and what is answered when there are as many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.open_requests import OpenRequests, TooManyOpen
from web.errors.problem import Problem

#: When one of the requests under way may have ended, seconds.
_ENDS = 5


@contextmanager
def counted(
    requests: OpenRequests,
    account_id: str,
    *,
    most: int,
    most_of_account: int,
    of_worker: Problem,
    of_account: Problem,
) -> Iterator[None]:
    """Count a request while it is answered.

    Raises:
        ApiError: there is no place for it, at this worker or for its account.
    """
    try:
        with requests.one_more(account_id, most=most, most_of_account=most_of_account):
            yield
    except TooManyOpen as error:
        if error.of_account:
            raise of_account(limit=error.limit, retry_after=_ENDS) from None
        raise of_worker(limit=error.limit) from None
