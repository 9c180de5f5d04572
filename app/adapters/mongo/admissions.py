"""Turns: while one upload of an account is counted and stored, no other is, on no worker.

A turn is a document under the account's id, there as long as somebody has the turn. What a killed worker left is taken
away by whoever has seen it unchanged for longer than a turn can last; that needs no common clock.
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

#: Longest turn, and after how long without a change it is another's who must be dead, seconds.
TURN, DEAD_AFTER = 3.0, 6.0
#: Longest wait for a turn, seconds.
_PATIENCE = 20.0


class Admissions:
    """The collection of turns; read and written by ``_id`` alone, but to take one away from a dead worker."""

    def __init__(self, collection: Any, *, dead_after: float = DEAD_AFTER) -> None:
        self._collection = collection
        self._dead_after = dead_after

    @contextlib.asynccontextmanager
    async def account_lock(self, account_id: str) -> AsyncIterator[None]:
        """Wait until nobody else has the account's turn, and have it; for TURN seconds at most.

        Raises:
            TimeoutError: there was no turn within 20 seconds, or it took too long.
            PassingFault: the database is away.
        """
        holder = uuid4().hex
        try:
            async with asyncio.timeout(_PATIENCE):
                with MONGO.faults():
                    await self._take(account_id, holder)
            async with asyncio.timeout(TURN):
                yield
        finally:
            await asyncio.shield(self._give_back(account_id, holder))

    async def _give_back(self, account_id: str, holder: str) -> None:
        try:
            await self._collection.delete_one({"_id": account_id, "holder": holder})
        except PyMongoError as error:
            # What was done in the turn is done. Whoever comes next takes the turn away, as from a dead worker.
            log.warning("the turn of the account %s could not be given back: %r", account_id, error)

    async def _take(self, account_id: str, holder: str) -> None:
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
