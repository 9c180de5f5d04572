"""Changes of actions are announced, and nobody waits for that."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from app.adapters.redis import snapshots
from app.adapters.redis.snapshots import Snapshots


class HangingRedis:
    """Takes a command, and never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def publish(self, channel: str, message: str) -> int:
        self.asked += 1
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def test_hanging_redis_is_not_awaited(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever changes an action goes on although Redis hangs, and a line in the log says so."""
    monkeypatch.setattr(snapshots, "_ANNOUNCE", 0.01)
    redis = HangingRedis()
    async with asyncio.timeout(60):
        await Snapshots(cast(Any, redis)).announce("6b04d285235ca65e4442eb33")
    assert redis.asked == 1
    assert "not announced" in caplog.text
