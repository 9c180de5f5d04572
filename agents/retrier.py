"""The retry topics: each holds messages until they are due, and gives them back to where they came from.

All messages of one topic wait equally long, so the first in a partition is always the first that is due.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from agents.faults import PermanentFault
from app.headers import Handover
from app.platform import Platform

#: How often a waiting message looks whether its partition is to be given away, seconds.
_LOOK = 0.2
#: Whatever a header says, nothing waits longer, seconds: it would hold up its partition.
_LONGEST_WAIT = 3600.0


async def give_back(event: Any, platform: Platform) -> None:
    """Wait until a message is due, then send it to its topic of origin."""
    message = event.message
    handover = Handover.read(message.headers)
    target = None if handover is None else platform.topics.named(handover.origin.topic)
    if handover is None or target is None:
        raise PermanentFault("a message without a readable history in a retry topic")
    due = min(handover.due, time.time() + _LONGEST_WAIT)
    while (wait := due - time.time()) > 0:
        if platform.is_moving():
            # A rebalance waits for what is in hand: do not hold it up, whoever is next goes on waiting.
            target = platform.topics.named(message.topic) or target
            break
        await asyncio.sleep(min(wait, _LOOK))
    await target.send_raw(message.key, message.value, handover.to_headers())
