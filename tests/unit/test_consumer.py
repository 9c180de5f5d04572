"""What is changed in Faust's Kafka client."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from app.kafka.consumer import _ConsumerThread


async def test_empty_fetch_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions that are new wait for the end of the fetch that is under way, so an empty one must not take long."""
    client: Any = AIOKafkaConsumer(fetch_max_wait_ms=1500)
    assert client._fetch_max_wait_ms == 1500, "the client keeps it elsewhere"
    monkeypatch.setattr(AIOKafkaConsumerThread, "_create_worker_consumer", lambda _self, _transport: client)
    assert _ConsumerThread._create_worker_consumer(cast(Any, _ConsumerThread.__new__(_ConsumerThread)), None) is client
    assert client._fetch_max_wait_ms == 250
    await client.stop()
