"""The retry topics: each holds messages until they are due, and gives them back to where they came from.

All messages of one topic wait equally long, so the first in a partition is always the first that is due. What is due
while something that rows depend on is away waits on: it would only fail again.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from agents.faults import PermanentFault
from app.dependencies import unavailable
from app.headers import Handover
from app.platform import Platform

#: How often a message that is due looks whether everything answers again, seconds.
_LOOK = 1.0


async def give_back(event: Any, platform: Platform) -> None:
    """Wait until a message is due and can be done, then send it to its topic of origin."""
    message = event.message
    handover = Handover.read(message.headers)
    target = None if handover is None else platform.topics.named(handover.origin.topic)
    if handover is None or target is None:
        raise PermanentFault("a message without a readable history in a retry topic")
    # Whatever a header says, nothing waits longer than the longest delay: it would hold up its partition.
    await asyncio.sleep(min(handover.due - time.time(), max(platform.settings.retry_delays)))
    while await unavailable(platform):
        await asyncio.sleep(_LOOK)
    await target.send_raw(message.key, message.value, handover.to_headers())
