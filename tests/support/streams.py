"""Rows that come over Kafka, as producers send them, without a broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agents.processor import process
from app.context import AppContext
from app.domain.access import Principal, Role
from app.domain.actions import Action
from app.domain.entities import find_entity
from app.domain.failure_limits import FailureLimit
from app.domain.operations import find_operation
from app.kafka.inline_rows import read_chunk
from app.kafka.topic_reader import Event
from app.services.streams import Opened, StreamOrder, open_stream
from tests.support.bench import Bench
from tests.support.fakes import event

PRINCIPAL = Principal("default", Role.OPERATOR, "key 1")


def contact(number: int, **changes: Any) -> dict[str, Any]:
    """A row that is right."""
    return {"id": f"c{number}", "name": f"N {number}", "email": f"{number}@x.example", "status": "active", **changes}


def message_of(action_id: str, rows: Sequence[Any], index: int | None = None, **fields: Any) -> bytes:
    """A message of a producer."""
    told = {"actionId": action_id, "rows": list(rows), **({} if index is None else {"index": index}), **fields}
    return json.dumps(told).encode()


class Producer:
    """Sends chunks to an action that is open, one by one, to whoever reads them first."""

    def __init__(self, context: AppContext, opened: Opened) -> None:
        self._context = context
        self.action_id, self.token = opened.action.id, opened.token
        self._offset = 0

    def event(self, value: bytes, *, offset: int | None = None, token: str | None = "") -> Event:
        """The event of a message; ``token`` is the one of the action unless another is given; None: none."""
        self._offset += 1
        chosen = self.token if token == "" else token
        headers = [] if chosen is None else [("stream-token", chosen.encode())]
        topic = self._context.topics.chunks.name
        return event(value, topic=topic, offset=self._offset if offset is None else offset, key=None, headers=headers)

    async def send(
        self,
        rows: Sequence[Any],
        index: int | None = None,
        *,
        offset: int | None = None,
        token: str | None = "",
        **fields: Any,
    ) -> None:
        """Deliver a chunk."""
        value = message_of(self.action_id, rows, index, **fields)
        await process(read_chunk(self.event(value, offset=offset, token=token)), self._context)


async def opened_stream(
    context: AppContext,
    *,
    action_type: str = "BULK_UPDATE",
    entity_type: str = "Contact",
    max_failures: str | None = None,
    key: str | None = None,
    digest: str = "digest",
) -> Opened:
    """Open an action for rows."""
    operation, entity = find_operation(action_type), find_entity(entity_type)
    assert operation is not None
    assert entity is not None
    limit = None if max_failures is None else FailureLimit.parse(max_failures)
    order = StreamOrder(
        operation=operation, entity=entity, max_failures=limit, idempotency_key=key, request_digest=digest
    )
    return await open_stream(context, PRINCIPAL, order)


async def current(bench: Bench, action_id: str) -> Action:
    """The action as it is now."""
    action = await bench.store.actions.get(action_id)
    assert action is not None
    return action
