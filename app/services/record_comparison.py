"""The records of an action, compared with what its outcomes say of them.

Other actions may have written, made or deleted them since. Who was last to write a record is in its tag; that one was
deleted is found in the actions that delete (``app/services/deletions.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.adapters.mongo import Store
from app.adapters.mongo.records import Found
from app.adapters.mongo.statements import RecordLayout
from app.adapters.storage import Storage
from app.domain.actions import Action
from app.domain.entities import Entity
from app.domain.outcomes import FAILED_AT_RECORD, WRITE_REFUSED, ChunkOutcome
from app.domain.rows import CheckedChunk
from app.services.deletions import deleted_by_others

#: So many records are missing before it is looked up who has deleted them.
_MOST_MISSING = 200_000


async def rows_last_written(store: Store, action: Action, checked: CheckedChunk) -> set[int]:
    """Return the rows of a chunk that were the last to write their record."""
    entity = checked.entity
    ids = [f"{action.account_id}:{key}" for key in checked.column(entity.key)]
    found = await store.records.find(entity.collection, ids, ["_bulk"])
    tags = (found.get(record_id, {}).get("_bulk", {}) for record_id in ids)
    named = ((tag.get("actionId"), tag.get("row")) for tag in tags)
    return {row for row, name in zip(checked.rows, named, strict=True) if name == (action.id, row)}


class RecordComparison:
    """The records of one action."""

    def __init__(self, store: Store, storage: Storage, action: Action, entity: Entity) -> None:
        self._store, self._storage, self._action = store, storage, action
        self._collection = entity.collection
        key = entity.columns.index(entity.key)
        self._layout = RecordLayout(action.account_id, entity.columns, key, kinds=entity.kinds)
        self._began = action.started_at or action.created_at
        #: Sentences that are true unless somebody has deleted the record, by the record.
        self._unless_deleted: dict[str, str] = {}
        self._writers: dict[str, Action | None] = {}

    async def differences(self, checked: CheckedChunk, outcome: ChunkOutcome) -> AsyncIterator[str]:
        """Yield a sentence for each row of a chunk whose record is not what its outcome says."""
        codes = {entry.row: entry.code for entry in outcome.exceptions}
        compared = FAILED_AT_RECORD - {WRITE_REFUSED}
        left_out = {
            position for position, row in enumerate(checked.rows) if row in codes and codes[row] not in compared
        }
        rows = checked.without(left_out)
        records = self._layout.encode(rows.rows, rows.columns)
        found = await self._store.records.look_up(self._collection, records)
        for row, record_id, record in zip(rows.rows, records.ids, found, strict=True):
            difference = await self._difference(row, codes.get(row) or outcome.code(row), record_id, record)
            if difference is not None:
                yield difference
        if len(self._unless_deleted) >= _MOST_MISSING:
            for difference in await self.unexplained():
                yield difference

    async def unexplained(self) -> list[str]:
        """Return the sentences on records that are gone, so far, and that nobody has deleted."""
        missing, self._unless_deleted = self._unless_deleted, {}
        if not missing:
            return []
        explained = await deleted_by_others(self._store, self._storage, self._action, missing)
        return [sentence for record_id, sentence in missing.items() if record_id not in explained]

    async def _difference(self, row: int, code: str, record_id: str, found: Found | None) -> str | None:
        absent = code in ("DELETED", "NOT_FOUND")
        if found is None:
            if not absent:
                self._unless_deleted[record_id] = f"row {row}: its record {record_id} does not exist"
            return None
        written_here = found.tag.get("actionId") == self._action.id
        if code in ("CREATED", "UPDATED"):
            if written_here and found.tag.get("row") != row:
                return f"row {row}: its record was written by row {found.tag.get('row')}"
            if written_here and found.differing.intersection(found.tag.get("fields", found.differing)):
                return f"row {row}: its record {record_id} has other values"
        elif written_here:
            return f"row {row}: the outcome says {code}, but its record was written"
        elif absent and not await self._written_since(found):
            return f"row {row}: the outcome says {code}, but its record {record_id} is there"
        made_here = found.created_by == self._action.id
        if code == "CREATED" and not made_here:
            # Deleted, and made anew.
            self._unless_deleted[record_id] = f"row {row}: the outcome says CREATED, the record does not"
        elif code != "CREATED" and made_here:
            return f"row {row}: the outcome says {code}, the record does not"
        return None

    async def _written_since(self, found: Found) -> bool:
        """Tell whether an action has written a record, or may have, since this one began."""
        tag = found.tag
        if "startedAt" not in tag:
            return False
        if (tag["startedAt"], tag["actionId"]) > (self._began, self._action.id):
            return True
        name = tag["actionId"]
        if name not in self._writers:
            self._writers[name] = await self._store.actions.get(name)
        writer = self._writers[name]
        ended = tag["at"] if writer is None else writer.completed_at
        return ended is None or bool(ended >= self._began)
