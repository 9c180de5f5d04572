"""Actions whose rows come over Kafka: they are opened, and closed with what they have.

When all that was declared is there, the action is *sealed*: what it has is counted exactly, and it goes on as one of a
file does. How chunks come is told in ``app/services/arrivals.py``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from app.context import AppContext
from app.domain.access import Principal
from app.domain.actions import Action, Status, StoredFile, Transition, TransitionRefused, new_action_id, new_chunk_key
from app.domain.cells import EmptyCells
from app.domain.entities import Entity
from app.domain.failure_limits import FailureLimit
from app.domain.inline_rows import DELIMITER, columns_of
from app.domain.operations import Operation
from app.domain.streams import AlreadyClosed, Declared, NotAStream, Numbering, Stream, new_token, token_digest
from app.kafka.messages import ChunkResult
from app.observability.logs import event
from app.observability.metrics import REPLAYS
from app.observability.tracing import current_traceparent
from app.services.completion import complete_if_done, end_action, summarize_ledger
from app.services.quotas import Insertion, reserve_quota
from app.services.sealing import arrived_of, known_chunks, vacate

log = logging.getLogger(__name__)

#: How often an action is looked at anew because more chunks came meanwhile.
_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOrder:
    """What is asked for by whoever opens an action.

    Attributes:
        operation: What is to be done with the rows.
        entity: The kind of record that they are.
        max_failures: How many of its rows may fail before it is paused; None: any.
        idempotency_key: The client's name for the request, as it is stored; None: it gave none.
        request_digest: What tells the request from another with the same key.
    """

    operation: Operation
    entity: Entity
    max_failures: FailureLimit | None
    idempotency_key: str | None
    request_digest: str


class Opened(NamedTuple):
    """An action that takes chunks, the token that these must have, and whether the same request had made it before."""

    action: Action
    token: str
    replayed: bool


async def open_stream(context: AppContext, principal: Principal, order: StreamOrder) -> Opened:
    """Make an action that takes chunks; or return the one that the same request has made before, with a new token.

    Raises:
        KeyReused: the idempotency key stands for another request.
        TooManyActive, TooManyActiveRows, StorageFull: the account has reached a limit.
        TimeoutError, app.domain.faults.PassingFault: the database is away or too busy.
    """
    now, by, token = datetime.now(UTC), principal.name, new_token()
    columns = columns_of(order.entity)
    action = Action(
        id=new_action_id(),
        account_id=principal.account_id,
        action_type=order.operation.name,
        entity_type=order.entity.name,
        status=Status.OPEN,
        created_at=now,
        updated_at=now,
        # All of its chunks have the same start, also the first, which may run before the second comes.
        started_at=now,
        file=StoredFile(
            columns=columns,
            ignored_columns=(),
            delimiter=DELIMITER,
            empty_cells=EmptyCells.SKIP if order.operation.partial else None,
        ),
        stream=Stream(token_digest=token_digest(token), waiting_since=now),
        history=(Transition(status=Status.OPEN, at=now, by=by),),
        created_by=by,
        chunk_key=new_chunk_key(),
        traceparent=current_traceparent(),
        max_failures=order.max_failures,
        idempotency_key=order.idempotency_key,
        request_digest=None if order.idempotency_key is None else order.request_digest,
    )
    standing = await reserve_quota(context, action, Insertion())
    replayed = standing.id != action.id
    if replayed:
        # Nobody knows the first one any more, least of all we.
        await context.store.actions.change_token(standing.id, token_digest(token))
        REPLAYS.inc()
    return Opened(standing, token, replayed)


async def close_stream(context: AppContext, action: Action, declared: Declared, by: str | None = None) -> Action:
    """Note what an action has, and who says so: it ends when all of that is there. Return it as it is then.

    Raises:
        NotAStream: it has a file.
        AlreadyClosed: it was closed with something else.
        TransitionRefused: it has ended without having been closed.
        app.domain.faults.DependencyFault: the database is away.
    """
    if action.stream is None:
        raise NotAStream
    closed = await context.store.actions.declare(action.id, declared, by)
    current = closed or await context.store.actions.get(action.id) or action
    standing = None if current.stream is None else current.stream.declared
    if standing is None:
        raise TransitionRefused(current.status)
    if standing != declared:
        raise AlreadyClosed(standing)
    if current.takes_chunks:
        await seal_if_complete(context, current)
        current = await context.store.actions.get(action.id) or current
    return current


async def seal_if_complete(context: AppContext, action: Action) -> None:
    """Let an action that was closed go on as one of a file when all of its chunks are there.

    Where what was declared can never come true, it is FAILED.
    """
    store = context.store
    for _ in range(_LOOKS):
        stream = action.stream
        if stream is None or stream.sealed or stream.declared is None or action.status != Status.OPEN:
            return
        chunks = await known_chunks(store, action)
        arrived = arrived_of(action, chunks)
        if (reason := arrived.contradiction(stream.declared)) is not None:
            await fail_stream(context, action, reason)
            return
        if not arrived.complete(stream.declared):
            return
        if stream.numbering != Numbering.ARRIVAL or await vacate(store, action, chunks):
            sealed = await store.actions.seal(action.id, action.chunk_count, arrived.rows, arrived.size)
            if sealed is not None:
                await _go_on(context, sealed)
                return
        # Another chunk came meanwhile, or somebody has changed the status.
        action = await store.actions.get(action.id) or replace(action, stream=None)


async def fail_stream(context: AppContext, action: Action, reason: str) -> None:
    """End an action that takes chunks because it can never be complete."""
    summary = await summarize_ledger(context, action.id, action.chunk_count)
    await end_action(context, action.id, Status.FAILED, summary, reason=reason)
    await _recount(context, action)


async def _go_on(context: AppContext, action: Action) -> None:
    log.info(
        event(
            "stream complete",
            action=action.id,
            account=action.account_id,
            rows=action.total_count,
            chunks=action.chunk_count,
        )
    )
    summary = await complete_if_done(context, action.id, action.chunk_count)
    if not summary.progress.complete:
        # The progress agent learns how many chunks there are.
        await _recount(context, action)


async def _recount(context: AppContext, action: Action) -> None:
    await context.topics.results.send(ChunkResult(action_id=action.id, chunk_count=action.chunk_count))
