"""A producer of rows as anybody would write it: a plain client of Kafka, and the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.support.workers import Worker

Rows = Sequence[Any]


def open_stream(worker: Worker, *, headers: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """Open an action for rows; return the answer."""
    body = {"source": "stream", "actionType": "BULK_UPDATE", "entityType": "Contact", **fields}
    answer = worker.client.post("/bulk-actions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def messages(
    opened: Mapping[str, Any], chunks: Mapping[int, Rows] | Iterable[Rows], *, connect: bool, token_in_body: bool
) -> Iterable[tuple[bytes, list[tuple[str, bytes]]]]:
    """The value and the headers of each message; chunks without a key have no index."""
    told = chunks.items() if isinstance(chunks, Mapping) else ((None, rows) for rows in chunks)
    for index, rows in told:
        message: dict[str, Any] = {"actionId": opened["actionId"], "rows": list(rows)}
        if index is not None:
            message["index"] = index
        token = opened["streamToken"]
        if token_in_body:
            message["streamToken"] = token
        value = {"schema": {"type": "struct"}, "payload": message} if connect else message
        header = json.dumps({"schema": {"type": "string"}, "payload": token}) if connect else token
        yield json.dumps(value).encode(), [] if token_in_body else [("stream-token", header.encode())]


def produce(
    worker: Worker,
    opened: Mapping[str, Any],
    chunks: Mapping[int, Rows] | Iterable[Rows],
    *,
    connect: bool = False,
    token_in_body: bool = False,
) -> None:
    """Send chunks, in the order in which they are given, and wait until the broker has them."""

    async def send() -> None:
        broker = worker.environment["KAFKA_BROKER"].partition("://")[2]
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        await producer.start()
        try:
            sent = [
                await producer.send(opened["topic"], value, headers=headers)
                for value, headers in messages(opened, chunks, connect=connect, token_in_body=token_in_body)
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(send())
