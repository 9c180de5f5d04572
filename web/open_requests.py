"""Long requests: how many of a kind there may be at once, and that nobody works for a client that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from app.domain.open_requests import OpenRequests, TooManyOpen
from web.errors.problem import Problem

T = TypeVar("T")

#: When one of the requests under way may have ended, seconds.
_ENDS = 5
#: How often it is looked whether a client is still there, seconds.
_LOOK = 0.25


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


async def while_connected(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work of a request, as long as its client is there.

    Raises:
        asyncio.CancelledError: the client has gone; the work is cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK)
            if request.transport is None or request.transport.is_closing():
                raise asyncio.CancelledError("the client has gone")
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
