"""Records of the entities: one collection each, ``_id`` = ``accountId:id``, written a chunk at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import ConnectionFailure, PyMongoError, WriteConcernError

from app.adapters.mongo.errors import DUPLICATE_KEY, StatementFault, means_away, reason_of_refusal
from app.adapters.mongo.faults import MONGO

log = logging.getLogger(__name__)

#: So many statements may fail alone while none succeeds; then it is not the statements.
_MAX_ALONE = 16


@dataclass(slots=True)
class Written:
    """The answer to a bulk write.

    Attributes:
        created: Which statements made a new record.
        refused: Which the server refused, with the reason.
        failed: Which failed alone, though others were written, for a reason that is not known to be theirs.
        count: How many were written.
    """

    created: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)
    count: int = 0


@MONGO.at_border
class Records:
    """Bulk writes and reads by ``_id``.

    Args:
        database: where they are.
        max_time: seconds that the server may spend on a write. What it has not done by then it must not do later, when
            a newer action may have written the same records.
    """

    def __init__(self, database: Any, *, max_time: float) -> None:
        self._database = database
        self._max_time = max_time

    async def upsert(
        self, collection: str, statements: Sequence[Mapping[str, Any]], *, isolate: bool = False
    ) -> Written:
        """Run update statements (``q``, ``u``, ``upsert``), unordered, in one command.

        They should be sorted by ``_id``: on some servers a command is one transaction, and two of them that lock the
        same records in opposite order would wait for each other.

        Args:
            collection: where to.
            statements: what to write.
            isolate: Cut what fails in halves, until the statements that cause it stand alone.

        Raises:
            app.domain.faults.PassingFault: the server could not be reached, its answer is not trustworthy, or, without
                ``isolate``, statements have failed for a reason that is not their document's.
        """
        written = Written()
        waiting = [list(range(len(statements)))] if statements else []
        while waiting:
            indexes = waiting.pop()
            try:
                again, fault = await self._attempt(collection, statements, indexes, written)
            except PyMongoError as error:
                again, fault = indexes, error
            if fault is None:
                continue
            # Each half would wait for a server that is not there.
            if not isolate or means_away(fault) or isinstance(fault, ConnectionFailure):
                raise fault
            if len(again) < len(indexes):
                waiting.append(again)
            elif len(again) > 1:
                middle = len(again) // 2
                waiting += [again[middle:], again[:middle]]
            else:
                log.warning("%s: a statement fails alone: %r", collection, fault)
                written.failed[again[0]] = MONGO.fault_of(fault)
                if not written.count and len(written.failed) >= _MAX_ALONE:
                    raise fault
        return written

    async def find(self, collection: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return those of the records that exist, with only the named fields, by ``_id``."""
        if not ids:
            return {}
        cursor = self._database[collection].find({"_id": {"$in": list(ids)}}, dict.fromkeys(fields, 1))
        return {document["_id"]: document async for document in cursor}

    async def _attempt(
        self, collection: str, statements: Sequence[Mapping[str, Any]], indexes: list[int], written: Written
    ) -> tuple[list[int], PyMongoError | None]:
        """Run some of the statements, and note what became of them.

        Returns those that failed for a reason that is not their document's, and the first such fault.
        """
        errors = await self._run(collection, statements, indexes, written)
        # Another worker's upsert of the same new record came between: writing again updates it.
        overtaken = [index for index, entry in errors.items() if entry.get("code") == DUPLICATE_KEY]
        if overtaken:
            for index in overtaken:
                del errors[index]
            errors |= await self._run(collection, statements, overtaken, written)
        again, fault = [], None
        for index, entry in sorted(errors.items()):
            if (reason := reason_of_refusal(entry.get("code"))) is not None:
                log.warning("%s: a document is refused: %s", collection, entry)
                written.refused[index] = reason
                continue
            again.append(index)
            error = StatementFault(str(entry.get("errmsg", "")), entry.get("code"), dict(entry))
            # One that says that the server is away says most.
            fault = error if fault is None or means_away(error) else fault
        return again, fault

    async def _run(
        self, collection: str, statements: Sequence[Mapping[str, Any]], indexes: list[int], written: Written
    ) -> dict[int, Mapping[str, Any]]:
        """Run some of the statements in one command; return the errors of single ones."""
        whole = len(indexes) == len(statements)
        command: dict[str, Any] = {
            "update": collection,
            "updates": list(statements) if whole else [statements[index] for index in indexes],
            "ordered": False,
            "maxTimeMS": int(self._max_time * 1000),
        }
        concern = self._database.write_concern
        if not concern.is_server_default:
            # A raw command does not take over what the URI asks for.
            command["writeConcern"] = concern.document
        reply: dict[str, Any] = await self._database.command(command)
        errors = {indexes[entry["index"]]: entry for entry in reply.get("writeErrors", ())}
        upserted = reply.get("upserted", ())
        # That all made a record needs no look at each.
        written.created.update(
            indexes if len(upserted) == len(indexes) else [indexes[entry["index"]] for entry in upserted]
        )
        if "writeConcernError" in reply:
            details = reply["writeConcernError"]
            raise WriteConcernError("the write was not confirmed as asked", details.get("code"), details)
        written.count += len(indexes) - len(errors)
        return errors
