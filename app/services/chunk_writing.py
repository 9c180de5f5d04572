"""How the rows of a chunk are written: compare, decide, record the plan, and only then write.

A crash after any step leaves a chunk that whoever runs it again finishes with the same outcome: before the plan is
recorded nothing has been written, and afterwards the plan says what each row is, whatever has been written of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Final

import numpy as np

from app.adapters.mongo.records import Written
from app.adapters.mongo.statements import RecordLayout
from app.context import AppContext
from app.domain.id_filter import IdFilter
from app.domain.operations import Operation
from app.domain.operations.plan import (
    ChunkPlan,
    Result,
    StoredRecord,
    Write,
    decide,
    first_steps,
    late_decision,
    next_step,
)
from app.domain.outcome_entries import RowOutcome, failed_at_record, refused_by_database
from app.domain.outcomes import CHANGES
from app.domain.rows import CheckedChunk
from app.kafka.messages import Chunk
from app.observability.chunk_timer import ChunkTimer

#: How often a row is decided again because somebody else has made or deleted its record meanwhile.
_MOST_ROUNDS: Final = 5
_TAKEN: Final = "another record has the same unique value"
_CHANGED: Final = tuple(Result[change] for change in CHANGES)
_GIVEN_UP: Final = "it could not be written, although others could"


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """What has become of rows that own their record.

    Attributes:
        created, updated, unchanged, deleted: Arrays of the numbers of the rows that succeeded.
        failures: The others.
        changed_ids: The filter of the ids of what was created, updated or deleted; None: nothing was.
    """

    created: Any
    updated: Any
    unchanged: Any
    deleted: Any
    failures: list[RowOutcome]
    changed_ids: IdFilter | None


async def write_rows(
    context: AppContext,
    chunk: Chunk,
    operation: Operation,
    owned: CheckedChunk,
    row_count: int,
    timer: ChunkTimer,
    *,
    first_time: bool,
) -> WrittenRows:
    """Do with the rows of a chunk what its action is for.

    Args:
        context: the stores.
        chunk: the chunk; its ledger has been opened.
        operation: what its action is for.
        owned: its valid rows that own their record.
        row_count: how many rows it has in all.
        timer: told how long it takes to compare and to write, and what the ledger takes of it.
        first_time: whether nobody has opened it before.

    Raises:
        app.domain.faults.DependencyFault: something is away; running the chunk again is safe.
    """
    # In the order of their ids: where a command is a transaction, two in opposite order would wait for each other.
    rows = owned.sorted_by(owned.entity.key)
    return await _ChunkWriter(context, chunk, operation, rows, timer).run(row_count, first_time=first_time)


class _ChunkWriter:
    """One run of a chunk. Rows are named by their position among those that are to be written."""

    def __init__(
        self, context: AppContext, chunk: Chunk, operation: Operation, owned: CheckedChunk, timer: ChunkTimer
    ) -> None:
        self._context, self._chunk, self._operation, self._owned = context, chunk, operation, owned
        self._timer = timer
        self._records, self._collection = context.store.records, owned.entity.collection
        with timer.stage("compare"):
            self._encoded = _layout(chunk, operation, owned).encode(owned.rows, owned.columns)
        #: For each row its Decision, its Write and its Result.
        self._decisions: Any = np.zeros(len(owned.rows), np.uint8)
        self._writes: Any = self._decisions.copy()
        self._results: Any = self._decisions.copy()
        self._refused: dict[int, str] = {}
        self._failed: dict[int, Exception] = {}
        self._carried_out = 0

    async def run(self, row_count: int, *, first_time: bool) -> WrittenRows:
        """Write the rows, and tell what has become of them."""
        everything = range(len(self._owned.rows))
        if await self._plan(row_count, first_time=first_time):
            self._writes, self._results = first_steps(self._decisions)
        else:
            await self._step(everything)
        pending: Sequence[int] = everything
        for _ in range(_MOST_ROUNDS):
            with self._timer.stage("write"):
                pending = await self._write(pending)
            if not pending:
                break
            await self._step(pending)
        # Nobody else makes and deletes a record that often: it is another unique value that stands in the way.
        self._refused.update(dict.fromkeys(pending, _TAKEN))
        await self._give_up()
        return self._outcome()

    async def _plan(self, row_count: int, *, first_time: bool) -> bool:
        """Decide all rows. True when the decisions were made just now and nobody else has made any."""
        ledger, chunk, rows = self._context.store.ledger, self._chunk, self._owned.rows
        packed, fresh = None, False
        if not first_time:
            with self._timer.stage("ledger"):
                packed = await ledger.plan(chunk.id)
        if packed is None:
            with self._timer.stage("compare"):
                if first_time:
                    presence = await self._records.compare(self._collection, self._encoded)
                    decisions = decide(self._operation, presence)
                else:
                    stored = await self._stored(range(len(rows)))
                    decisions = [late_decision(self._operation, record) for record in stored]
                own = ChunkPlan.of(row_count, chunk.span.first_row, rows, decisions).pack()
            with self._timer.stage("ledger"):
                packed, fresh = await ledger.record_plan(chunk.id, own)
            fresh = fresh and first_time
        plan = ChunkPlan.unpack(packed)
        self._decisions = plan.of_rows(rows, chunk.span.first_row)
        return fresh

    async def _step(self, positions: Sequence[int]) -> None:
        """Find out what is still to be written of some rows, by what is there now."""
        kept: dict[int, frozenset[str]] = {}
        with self._timer.stage("compare"):
            found = await self._stored(positions)
        for position, stored in zip(positions, found, strict=True):
            decision = self._decisions[position]
            self._writes[position], self._results[position] = next_step(self._operation, decision, stored)
            if stored is not None and stored.left_alone:
                kept[position] = stored.left_alone
        if kept:
            self._encoded = self._encoded.keeping(kept)

    async def _stored(self, positions: Sequence[int]) -> list[StoredRecord | None]:
        chunk, rows = self._chunk, self._encoded.at(positions)
        looked_up = await self._records.look_up(self._collection, rows)
        return [
            None
            if found is None
            else StoredRecord.of(
                found.tag,
                found.created_by,
                fields=() if self._operation.key_only else fields,
                differing=frozenset() if self._operation.key_only else found.differing,
                action_id=chunk.action_id,
                row=row,
                started_at=chunk.source.started_at,
            )
            for row, fields, found in zip(rows.rows, rows.names(), looked_up, strict=True)
        ]

    async def _write(self, positions: Sequence[int]) -> list[int]:
        """Write what is to be written of some rows; return those that are to be decided again."""
        isolate = self._chunk.attempt > 0  # what has failed although everything answers may be due to some rows
        chosen = np.asarray(positions, np.int64)
        inserts, updates, deletions = (
            chosen[self._writes[chosen] == write].tolist() for write in (Write.INSERT, Write.UPDATE, Write.DELETE)
        )
        again: list[int] = []
        if inserts:
            documents = self._encoded.at(inserts).inserts()
            written = await self._records.insert(self._collection, documents, isolate=isolate)
            self._note(written, inserts)
            again += [inserts[index] for index in written.conflicts]
        if updates:
            statements = self._encoded.at(updates).changes()
            written = await self._records.update(self._collection, statements, isolate=isolate)
            self._note(written, updates)
            if written.missed:
                stored = await self._stored(updates)
                again += [position for position, record in zip(updates, stored, strict=True) if record is None]
        if deletions:
            # That one finds no record is as good: it is gone.
            statements = self._encoded.at(deletions).deletions()
            self._note(await self._records.delete(self._collection, statements, isolate=isolate), deletions)
        unwritten = self._refused.keys() | self._failed.keys()
        return sorted(position for position in again if position not in unwritten)

    def _note(self, written: Written, positions: Sequence[int]) -> None:
        self._carried_out += written.count
        self._refused.update((positions[index], reason) for index, reason in written.refused.items())
        self._failed.update((positions[index], fault) for index, fault in written.failed.items())

    async def _give_up(self) -> None:
        """Refuse the rows that failed alone, if they have been tried often enough.

        Raises:
            app.domain.faults.PassingFault: they have not, or nothing shows that it is them and not the server.
        """
        if not self._failed:
            return
        fault = next(iter(self._failed.values()))
        if self._chunk.attempt < len(self._context.topics.retries):
            raise fault
        if not self._carried_out:
            if len(self._failed) > 1:
                raise fault
            await self._context.store.check_write()
        self._refused.update(dict.fromkeys(self._failed, _GIVEN_UP))

    def _outcome(self) -> WrittenRows:
        rows, succeeded = np.asarray(self._owned.rows, np.int64), np.ones(len(self._owned.rows), bool)
        succeeded[list(self._refused)] = False
        of = {result: rows[succeeded & (self._results == result)] for result in Result}
        failures = [refused_by_database(int(rows[position]), reason) for position, reason in self._refused.items()]
        for result in filter(lambda result: result.failed, Result):
            failures += [failed_at_record(row, result.name) for row in of[result].tolist()]
        changed = (succeeded & np.isin(self._results, _CHANGED)).tolist()
        return WrittenRows(
            of[Result.CREATED],
            of[Result.UPDATED],
            of[Result.UNCHANGED],
            of[Result.DELETED],
            failures,
            IdFilter.of(list(compress(self._encoded.keys, changed))) if any(changed) else None,
        )


def _layout(chunk: Chunk, operation: Operation, owned: CheckedChunk) -> RecordLayout:
    source, entity = chunk.source, owned.entity
    return RecordLayout(
        account_id=source.account_id,
        fields=entity.columns,
        key=entity.columns.index(entity.key),
        always={"accountId": source.account_id},
        tag={
            "actionId": chunk.action_id,
            "startedAt": source.started_at,
            "status": "SUCCESS",
            "at": datetime.now(UTC),
        },
        on_insert={"createdBy": chunk.action_id},
        whole=not operation.partial,
        kinds=entity.kinds,
    )
