"""Records of the entities: one collection each, ``_id`` = ``accountId:id``, compared and written a chunk at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import numpy as np
from bson import CodecOptions, DatetimeConversion, decode
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ConnectionFailure, PyMongoError, WriteConcernError

from app.adapters.mongo.concurrency import CommandGate
from app.adapters.mongo.errors import DUPLICATE_KEY, StatementFault, means_away, reason_of_refusal
from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.statements import EncodedRecords
from app.adapters.mongo.values import plain
from app.domain.operations.operation import Presence
from app.observability.logs import event

log = logging.getLogger(__name__)

#: So many statements may fail alone while none succeeds; then it is not the statements.
_MAX_ALONE = 16
#: Ids in one query for records that are there. Some servers look through the whole list for each record they find.
_IDS_PER_QUERY: Final = 100
#: Answers are looked at as bytes.
_RAW: Final[Any] = CodecOptions(document_class=RawBSONDocument)
_FIRST_BATCH: Final = b"\x04firstBatch\0"
#: Octets of an array without elements.
_EMPTY: Final = 5
#: Where the statements of a command are.
_STATEMENTS: Mapping[str, str] = {"insert": "documents", "update": "updates", "delete": "deletes"}

_AWARE: Final[CodecOptions[Mapping[str, Any]]] = CodecOptions(tz_aware=True)
#: What another program has stored is shown as far as it can be.
_LENIENT: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP, unicode_decode_error_handler="replace"
)
#: Stands for the value of a field that a document does not have.
_NOTHING: Final = object()

_Kind = Literal["insert", "update", "delete"]


@dataclass(slots=True)
class Written:
    """The answer to a bulk write.

    Attributes:
        conflicts: Which inserts found a record of the same ``_id``, or of the same value in another unique index.
        refused: Which statements the server refused, with the reason.
        failed: Which failed alone, though others were written, for a reason that is not known to be theirs.
        count: How many were carried out.
        missed: How many updates and deletions among these found no record.
    """

    conflicts: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)
    count: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of the record of a row.

    Attributes:
        tag: Its audit tag; empty where no action has written it.
        created_by: The action that made it, if one did.
        differing: The fields of which it has another value than the row says.
    """

    tag: Mapping[str, Any]
    created_by: str | None
    differing: frozenset[str]


class _Sequence:
    """All statements of a command in one piece of bytes.

    The driver sends the statements of a command as a sequence of documents, one behind the other, and takes a document
    that is encoded already as it is: so many of them may stand for one.
    """

    #: How the driver knows a document that is encoded already.
    _type_marker: ClassVar[int] = 101

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


@MONGO.at_border
class Records:
    """Bulk writes and reads by ``_id``.

    Args:
        database: where they are.
        max_time: seconds that the server may spend on a write. What it has not done by then it must not do later, when
            a newer action may have written the same records.
        most_commands: Commands for records that may be under way at once; as many of them are as the server can take.
    """

    def __init__(self, database: Any, *, max_time: float, most_commands: int = 4) -> None:
        self._database = database
        self._max_time = max_time
        self._gate = CommandGate(most_commands)

    async def insert(self, collection: str, documents: Sequence[bytes], *, isolate: bool = False) -> Written:
        """Insert encoded documents, unordered, in one command; see :meth:`update`."""
        return await self._write("insert", collection, documents, isolate)

    async def update(self, collection: str, statements: Sequence[bytes], *, isolate: bool = False) -> Written:
        """Run encoded update statements (``q``, ``u``), unordered, in one command.

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
        return await self._write("update", collection, statements, isolate)

    async def delete(self, collection: str, statements: Sequence[bytes], *, isolate: bool = False) -> Written:
        """Run encoded delete statements (``q``, ``limit``), unordered, in one command; see :meth:`update`."""
        return await self._write("delete", collection, statements, isolate)

    async def compare(self, collection: str, wanted: EncodedRecords) -> Any:
        """Look what is there of some records.

        A record that is as wanted is known by its bytes alone; only one that has the same length and other bytes is
        decoded, because its fields may be in another order.

        Returns:
            An array of :class:`~app.domain.operations.operation.Presence`, in the order of ``wanted``.
        """
        async with self._gate.command("compare", len(wanted.rows)) as command:
            # All queries in one thread: to change between threads costs more than a query does.
            presence = await asyncio.to_thread(_compare, self._database.delegate, collection, wanted)
            # What is not there costs next to nothing.
            command.kind += f" {round(10 * np.count_nonzero(presence) / max(1, len(presence)))}"
        return presence

    async def look_up(self, collection: str, wanted: EncodedRecords) -> list[Found | None]:
        """Return what is there of some records, in the order of ``wanted``: more than :meth:`compare` does, and slower.

        What another program has stored and cannot be read differs in every field.
        """
        found: dict[str, bytes] = {}
        names, ids = wanted.layout.fields, wanted.ids
        for start in range(0, len(ids), _IDS_PER_QUERY):
            query = _query(collection, ids[start : start + _IDS_PER_QUERY], [*names, "_bulk", "createdBy"])
            batch = _first_batch(await self._database.command(query, codec_options=_RAW))
            found.update((_id_of(document), document) for document in _documents(batch))
        rows = zip(ids, wanted.stored(), wanted.names(), strict=True)
        return [_found(found.get(_id), row, said) for _id, row, said in rows]

    async def find(self, collection: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return those of the records that exist, with only the named fields, by ``_id``."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), _IDS_PER_QUERY):
            asked = list(ids[start : start + _IDS_PER_QUERY])
            cursor = self._database[collection].find({"_id": {"$in": asked}}, dict.fromkeys(fields, 1))
            found.update({document["_id"]: document async for document in cursor})
        return found

    async def get(self, collection: str, record_id: str) -> dict[str, Any] | None:
        """Return all that is stored of a record, whoever has written it, in plain types; None: there is none."""
        found = await self._database[collection].with_options(_LENIENT).find_one({"_id": record_id})
        return None if found is None else plain(found)

    async def _write(self, kind: _Kind, collection: str, statements: Sequence[bytes], isolate: bool) -> Written:
        written = Written()
        waiting = [list(range(len(statements)))] if statements else []
        while waiting:
            indexes = waiting.pop()
            try:
                again, fault = await self._attempt(kind, collection, statements, indexes, written)
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
                log.warning(event("a statement fails alone", collection=collection, **_told(fault)))
                log.debug("%s: %r", collection, fault)
                written.failed[again[0]] = MONGO.fault_of(fault)
                if not written.count and len(written.failed) >= _MAX_ALONE:
                    raise fault
        return written

    async def _attempt(
        self, kind: _Kind, collection: str, statements: Sequence[bytes], indexes: list[int], written: Written
    ) -> tuple[list[int], PyMongoError | None]:
        """Run some of the statements, and note what became of them.

        Returns those that failed for a reason that is not their document's, and the first such fault.
        """
        errors = await self._run(kind, collection, statements, indexes, written)
        again, fault = [], None
        for index, entry in sorted(errors.items()):
            if kind == "insert" and entry.get("code") == DUPLICATE_KEY:
                written.conflicts.add(index)
                continue
            if (reason := reason_of_refusal(entry.get("code"))) is not None:
                log.warning(event("a document is refused", collection=collection, **_told(entry)))
                log.debug("%s: %s", collection, entry)
                written.refused[index] = reason
                continue
            again.append(index)
            error = StatementFault(str(entry.get("errmsg", "")), entry.get("code"), dict(entry))
            # One that says that the server is away says most.
            fault = error if fault is None or means_away(error) else fault
        return again, fault

    async def _run(
        self, kind: _Kind, collection: str, statements: Sequence[bytes], indexes: list[int], written: Written
    ) -> dict[int, Mapping[str, Any]]:
        """Run some of the statements in one command; return the errors of single ones."""
        whole = len(indexes) == len(statements)
        command: dict[str, Any] = {
            kind: collection,
            _STATEMENTS[kind]: [_Sequence(b"".join(statements if whole else [statements[i] for i in indexes]))],
            "ordered": False,
            "maxTimeMS": int(self._max_time * 1000),
        }
        concern = self._database.write_concern
        if not concern.is_server_default:
            # A raw command does not take over what the URI asks for.
            command["writeConcern"] = concern.document
        async with self._gate.command(kind, len(indexes)):
            reply: dict[str, Any] = await self._database.command(command)
        errors = {indexes[entry["index"]]: entry for entry in reply.get("writeErrors", ())}
        if "writeConcernError" in reply:
            details = reply["writeConcernError"]
            raise WriteConcernError("the write was not confirmed as asked", details.get("code"), details)
        done = len(indexes) - len(errors)
        written.count += done
        written.missed += done - reply["n"]
        return errors


def _compare(database: Any, collection: str, wanted: EncodedRecords) -> Any:
    """Compare records by the blocking client."""
    ids = wanted.ids
    presence = np.full(len(ids), Presence.ABSENT, np.uint8)
    comparison: _Comparison | None = None
    start, size = 0, _IDS_PER_QUERY
    while start < len(ids):
        asked = ids[start : start + size]
        query = _query(collection, asked, wanted.layout.fields)
        found = _first_batch(database.command(query, codec_options=_RAW))
        start += len(asked)
        if len(found) > _EMPTY:
            comparison = comparison or _Comparison(wanted, ids)
            comparison.note(found, presence)
            size = _IDS_PER_QUERY
        else:
            # To look for what is not there costs next to nothing, so the next list may be longer.
            size *= 2
    return presence


def _query(collection: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """Return the command that asks for some fields of records."""
    return {
        "find": collection,
        "filter": {"_id": {"$in": ids}},
        "projection": {"_id": 1, **dict.fromkeys(fields, 1)},
        "batchSize": len(ids),
        "singleBatch": True,
    }


def _first_batch(reply: RawBSONDocument) -> bytes:
    """Return the array of records of an answer to a query, as it is encoded."""
    cursor: bytes = reply["cursor"].raw
    start = cursor.index(_FIRST_BATCH) + len(_FIRST_BATCH)
    return cursor[start : start + int.from_bytes(cursor[start : start + 4], "little")]


class _Comparison:
    """Records that a query has found, each beside the one that is wanted."""

    def __init__(self, wanted: EncodedRecords, ids: Sequence[str]) -> None:
        self._stored = wanted.stored()
        #: The fields that each row says something of, where that is not all that were asked for.
        self._said = wanted.names() if wanted.keeps else None
        self._same = {document: position for position, document in enumerate(self._stored)}
        self._positions = {_id: position for position, _id in enumerate(ids)}

    def note(self, batch: bytes, presence: Any) -> None:
        """Note what the records of an encoded array are to the rows."""
        for document in _documents(batch):
            position = self._same.get(document)
            if position is not None:
                presence[position] = Presence.SAME
            else:
                position = self._positions[_id_of(document)]
                presence[position] = Presence.SAME if self._is_same(document, position) else Presence.DIFFERENT

    def _is_same(self, document: bytes, position: int) -> bool:
        stored = self._stored[position]
        # The same fields with the same values have the same length, in whatever order they are.
        if self._said is None and len(document) != len(stored):
            return False
        try:
            if self._said is not None:
                return not _differing(decode(document), decode(stored), self._said[position])
            return bool(decode(document) == decode(stored))
        except BSONError:
            # What another program has stored need not be readable to be something else.
            return False


def _documents(array: bytes) -> Iterator[bytes]:
    """Return the documents of an encoded array.

    An element of it is an octet that says that it is a document, its number in digits, a NUL, and the document, which
    begins with its length.
    """
    start, number = 4, 0
    while array[start]:
        start += len(str(number)) + 2
        end = start + int.from_bytes(array[start : start + 4], "little")
        yield array[start:end]
        start, number = end, number + 1


def _told(error: Mapping[str, Any] | PyMongoError) -> dict[str, object]:
    """Return what the log says of an error of the server: its text would have values of the row."""
    if isinstance(error, Mapping):
        return {"code": error.get("code"), "kind": error.get("codeName")}
    return {"code": getattr(error, "code", None), "kind": type(error).__name__}


def _id_of(document: bytes) -> str:
    # What "_id" is, which is first in every document: a length of four octets, the text, a NUL.
    length = int.from_bytes(document[9:13], "little")
    return document[13 : 12 + length].decode()


def _found(document: bytes | None, row: bytes, fields: Sequence[str]) -> Found | None:
    if document is None:
        return None
    try:
        record = decode(document, _AWARE)
    except BSONError:
        return Found({}, None, frozenset(fields))
    differing = _differing(record, decode(row, _AWARE), fields)
    tag = record.get("_bulk")
    return Found(tag if isinstance(tag, Mapping) else {}, record.get("createdBy"), differing)


def _differing(record: Mapping[str, Any], row: Mapping[str, Any], fields: Sequence[str]) -> frozenset[str]:
    """Return those of the fields of which a record and a row have not the same value, or not both none."""
    return frozenset(name for name in fields if record.get(name, _NOTHING) != row.get(name, _NOTHING))
