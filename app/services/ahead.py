"""Reading ahead: what will be asked for next is made while somebody is still busy with what came before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_END: Final = object()


async def ahead(source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Return what ``source`` returns, of which one thing more than was asked for is always being made.

    Raises what it raises. Whoever breaks off closes this generator, and it the source.
    """

    def begin() -> asyncio.Future[Any]:
        return asyncio.ensure_future(anext(source, _END))

    following = begin()
    try:
        while (item := await following) is not _END:
            following = begin()
            yield cast(T, item)
    finally:
        following.cancel()
        # What it failed with is of no interest any more.
        await asyncio.gather(following, return_exceptions=True)
        await source.aclose()
