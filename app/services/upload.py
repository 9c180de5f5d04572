"""An upload becomes an action: its file and the index of its chunks are stored first, the action last.

So an action always has its file. What is stored of an upload that ends without an action is taken away again, and by
the sweeper (``app/services/sweeping.py``) where that fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from app.adapters.storage import StorageWriter
from app.context import AppContext
from app.domain import upload_keys
from app.domain.access import Principal
from app.domain.actions import Action, Status, StoredFile, Transition, initial_status, new_action_id, new_chunk_key
from app.domain.cells import EmptyCells
from app.domain.csv.delimiters import Guess
from app.domain.csv.encodings import Encoding
from app.domain.csv.header import Columns
from app.domain.csv.spans import Scan
from app.domain.entities import Entity
from app.domain.failure_limits import FailureLimit
from app.domain.operations import Operation
from app.observability.logs import event
from app.observability.metrics import REPLAYS
from app.observability.tracing import current_traceparent
from app.services.quotas import Insertion, reserve_quota
from app.services.scheduling import ANNOUNCE_TIMEOUT, announce, first_pause

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for by an upload that is known to be good.

    Attributes:
        operation: What is to be done with the rows.
        entity: The kind of record that they are.
        scheduled_at: When it is to begin; None: at once.
        max_failures: How many of its rows may fail before it is paused; None: any.
        file_name: What the client calls the file.
        file_size: Its bytes as they are stored: unpacked, UTF-8.
        sha256: The digest of these, hexadecimal.
        columns: Its header.
        scan: Its records.
        delimiter: What separates its fields, and how that is known.
        encoding: What it was written in; what is stored is UTF-8.
        empty_cells: What an empty cell means; None: the rows say everything.
        idempotency_key: The client's name for the request, as it is stored; None: it gave none.
        request_digest: What tells the request from another with the same key.
    """

    operation: Operation
    entity: Entity
    scheduled_at: datetime | None
    max_failures: FailureLimit | None
    file_name: str
    file_size: int
    sha256: str
    columns: Columns
    scan: Scan
    delimiter: Guess
    encoding: Encoding
    empty_cells: EmptyCells | None
    idempotency_key: str | None
    request_digest: str


class Submitted(NamedTuple):
    """The action of an upload, and whether the same request had made it before."""

    action: Action
    replayed: bool


class Upload:
    """One upload that is being taken."""

    def __init__(self, context: AppContext, principal: Principal) -> None:
        self._context = context
        self._principal = principal
        self._insertion = Insertion()
        self.action_id = new_action_id()
        #: Where the file is stored, the index of its spans, and for a retry the rows of its original.
        self.storage_key = upload_keys.file_key(self.action_id)
        self.spans_key = upload_keys.spans_key(self.action_id)
        self.rows_key = upload_keys.rows_key(self.action_id)

    def writer(self) -> AbstractAsyncContextManager[StorageWriter]:
        """Open the file for writing; an exception inside the context leaves nothing behind."""
        return self._context.storage.writer(self.storage_key)

    @asynccontextmanager
    async def removed_unless_needed(self) -> AsyncIterator[None]:
        """Take away what was stored, unless an action needs it when the context is left.

        The file goes only when no action can need it: what fails after that never takes it away.
        """
        try:
            yield
        finally:
            if not self._insertion.possible:
                await asyncio.shield(self._remove())

    async def submit(self, order: Order) -> Submitted:
        """Store the action of an upload and announce it; see :meth:`store`."""
        return await self.store(self._action(order), order.scan)

    async def store(self, action: Action, scan: Scan) -> Submitted:
        """Store an action and announce it; or return the one that the same request has made before.

        Raises:
            KeyReused: the idempotency key stands for another request.
            TooManyActive, TooManyActiveRows, FileAboveRowLimit, StorageFull: the account has reached a limit.
            OSError: the storage is away.
            TimeoutError, app.domain.faults.PassingFault: the database is away or too busy.
        """
        await self._context.storage.put(self.spans_key, scan.index.to_bytes())
        standing = await reserve_quota(self._context, action, self._insertion)
        replayed = standing.id != action.id
        if replayed:
            REPLAYS.inc()
        elif standing.status == Status.QUEUED:
            await self._announce(standing)
        return Submitted(standing, replayed)

    def _action(self, order: Order) -> Action:
        now, by = datetime.now(UTC), self._principal.name
        status = initial_status(order.scheduled_at, now)
        queued = status == Status.QUEUED
        return Action(
            id=self.action_id,
            account_id=self._principal.account_id,
            action_type=order.operation.name,
            entity_type=order.entity.name,
            status=status,
            created_at=now,
            updated_at=now,
            scheduled_at=order.scheduled_at,
            total_count=order.scan.row_count,
            chunk_count=len(order.scan.index),
            file=StoredFile(
                name=order.file_name,
                size=order.file_size,
                sha256=order.sha256,
                storage_key=self.storage_key,
                spans_key=self.spans_key,
                columns=order.columns,
                ignored_columns=tuple(order.columns.ignored(order.columns.part_of(order.entity, order.operation))),
                delimiter=order.delimiter.delimiter,
                delimiter_source=order.delimiter.source,
                encoding=order.encoding,
                empty_cells=order.empty_cells,
            ),
            history=(Transition(status=status, at=now, by=by),),
            created_by=by,
            chunk_key=new_chunk_key(),
            traceparent=current_traceparent(),
            max_failures=order.max_failures,
            dispatch_attempts=int(queued),
            dispatch_at=now + first_pause(self._context) if queued else None,
            idempotency_key=order.idempotency_key,
            request_digest=None if order.idempotency_key is None else order.request_digest,
        )

    async def _announce(self, action: Action) -> None:
        try:
            await announce(self._context, action.id, timeout=ANNOUNCE_TIMEOUT)
        except Exception as error:
            # Nothing is lost: the action is stored. Not even the database could be told why it was not announced.
            log.warning(event("action not announced, the dispatcher will", action=action.id, error=repr(error)))

    async def _remove(self) -> None:
        try:
            for key in upload_keys.keys_of(self.action_id):
                await self._context.storage.delete(key)
        except Exception as error:
            log.warning("what a refused upload has stored stays until it is swept: %r", error)
