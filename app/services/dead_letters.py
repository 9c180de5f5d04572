"""The dead letters that nobody sees but those who run the platform."""

from __future__ import annotations

import logging

from app.context import AppContext
from app.domain.dead_letters import MAX_OF_NOBODY, DeadLetter

log = logging.getLogger(__name__)


async def keep_of_nobody(context: AppContext, letter: DeadLetter) -> None:
    """Keep a letter that is no account's, if there are few of them: anybody can send what becomes one.

    Raises:
        app.domain.faults.DependencyFault: the database is away.
    """
    if not await context.store.dead_letters.put_of_nobody(letter, MAX_OF_NOBODY):
        log.warning(
            "dead letter %s from %s: not kept, there are %d letters of nobody already",
            letter.id,
            letter.origin,
            MAX_OF_NOBODY,
        )
