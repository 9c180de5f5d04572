"""Locks of accounts: while one upload of an account is counted and stored, no other is, on no worker.

A lock is a document under the account's id, there as long as somebody holds it. What a killed worker left is taken
away by whoever has seen it unchanged for longer than a lock can be held; that needs no common clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from pymongo.errors import DuplicateKeyError, PyMongoError

from app.adapters.mongo.faults import MONGO

log = logging.getLogger(__name__)

#: Longest that a lock is held, and after how long without a change its holder must be dead, seconds.
HELD_AT_MOST, DEAD_AFTER = 3.0, 6.0
#: Longest wait for a lock, seconds.
_TIMEOUT = 20.0


class AccountLocks:
    """The collection of locks; read and written by ``_id`` alone, but to take one away from a dead worker."""

    def __init__(self, collection: Any, *, dead_after: float = DEAD_AFTER) -> None:
        self._collection = collection
        self._dead_after = dead_after

    @contextlib.asynccontextmanager
    async def account_lock(self, account_id: str) -> AsyncIterator[None]:
        """Wait for the lock of an account, and hold it; for HELD_AT_MOST seconds at most.

        Raises:
            TimeoutError: there was no lock within 20 seconds, or it was held too long.
            PassingFault: the database is away.
        """
        holder = uuid4().hex
        try:
            async with asyncio.timeout(_TIMEOUT):
                with MONGO.faults():
                    await self._acquire(account_id, holder)
            async with asyncio.timeout(HELD_AT_MOST):
                yield
        finally:
            await asyncio.shield(self._release(account_id, holder))

    async def _release(self, account_id: str, holder: str) -> None:
        try:
            await self._collection.delete_one({"_id": account_id, "holder": holder})
        except PyMongoError as error:
            # What was done under the lock is done. Whoever comes next takes it away, as from a dead worker.
            log.warning("the lock of the account %s could not be released: %r", account_id, error)

    async def _acquire(self, account_id: str, holder: str) -> None:
        seen, since = "", 0.0
        while True:
            try:
                await self._collection.insert_one({"_id": account_id, "holder": holder})
            except DuplicateKeyError:
                present = await self._collection.find_one({"_id": account_id})
            else:
                return
            if present is None:
                continue
            if present["holder"] == holder:
                # The answer to our own insert was lost on its way, and the driver has sent it again.
                return
            if present["holder"] != seen:
                seen, since = present["holder"], time.monotonic()
            elif time.monotonic() - since > self._dead_after:
                await self._collection.delete_one({"_id": account_id, "holder": seen})
                continue
            # Jittered, so that those who wait do not come all at once.
            await asyncio.sleep(random.uniform(0.005, 0.03))  # noqa: S311
