"""The retry topics: each holds messages until they are due, and gives them back to where they came from.

All messages of one topic wait equally long, so the first in a partition is always the first that is due. What is due
while something that rows depend on is away waits on: it would only fail again.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from app.context import AppContext
from app.domain.faults import PermanentFault
from app.kafka.retry_headers import RetryHeaders
from app.observability.dependencies import unavailable

#: How often a message that is due looks whether everything answers again, seconds.
_LOOK = 1.0


async def redeliver(event: Any, context: AppContext) -> None:
    """Wait until a message is due and can be done, then send it to its topic of origin."""
    message = event.message
    retry_headers = RetryHeaders.read(message.headers)
    target = None if retry_headers is None else context.topics.named(retry_headers.origin.topic)
    if retry_headers is None or target is None:
        raise PermanentFault("a message without a readable history in a retry topic")
    # Whatever a header says, nothing waits longer than the longest delay: it would hold up its partition.
    await asyncio.sleep(min(retry_headers.due - time.time(), max(context.settings.retry_delays)))
    while await unavailable(context):
        await asyncio.sleep(_LOOK)
    await target.send_raw(message.key, message.value, retry_headers.to_headers())
