"""Tasks end when they are told to."""

from __future__ import annotations

import asyncio

from app.domain.tasks import end_tasks


async def deaf(times: int) -> None:
    """A task that loses some cancellations, as ``asyncio.wait_for`` does."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def test_lost_cancellation_is_repeated() -> None:
    """A cancellation that was lost does not keep a task alive."""
    tasks = [asyncio.create_task(deaf(times)) for times in (0, 1, 2)]
    await asyncio.sleep(0)
    await end_tasks(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_end_is_not_awaited_for_ever() -> None:
    """Who gives a time limit is not held up by a task that does not end."""
    task = asyncio.create_task(deaf(1))
    await asyncio.sleep(0)
    await end_tasks([task], timeout=0.1)
    assert not task.done()
    await end_tasks([task])
    assert task.cancelled()
