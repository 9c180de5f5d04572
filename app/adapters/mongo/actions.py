"""Actions: one document each in ``bulk_operations``, changed only by atomic, conditional steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, ServerSelectionTimeoutError

from app.adapters.mongo.faults import MONGO
from app.adapters.mongo.index_queue import to_be_indexed
from app.adapters.mongo.queries import expiry_index, older_than
from app.adapters.mongo.writes import claim_one, journaled
from app.domain.actions import ENDED, MAX_HISTORY, PLATFORM, Action, Status, Transition, sources_of
from app.domain.failure_limits import CommonFailure
from app.domain.faults import Dependency, PassingFault
from app.domain.idempotency import KEY_LIFETIME, lives_for_ever
from app.domain.outcomes import CHANGES, Counts
from app.domain.stalls import Reissue
from app.domain.streams import Declared, Numbering
from app.domain.timestamps import iso_utc

Document = dict[str, Any]

#: Leaves out the header of the file, which may have hundreds of columns.
_WITHOUT_COLUMNS = {"columns": 0, "fields": 0, "ignoredColumns": 0, "indexed": 0}
#: What a list leaves to the single action.
_IN_LISTS = {**_WITHOUT_COLUMNS, "history": 0, "commonFailures": 0}

#: Matches what is not being deleted.
_THERE: Mapping[str, Any] = MappingProxyType({"deletingAt": None})
#: Statuses in which chunks have results.
_UNDER_WAY = [Status.OPEN, Status.PROCESSING, Status.PAUSED]
#: An action that takes chunks over Kafka.
_TAKES_CHUNKS = {"status": {"$in": [Status.OPEN, Status.PAUSED]}, "stream.sealed": False}
_NO_CONDITION: Mapping[str, Any] = MappingProxyType({})
_NEWEST_FIRST = [("createdAt", DESCENDING), ("_id", DESCENDING)]
_LAST_STARTED_FIRST = [("startedAt", DESCENDING), ("_id", DESCENDING)]
#: The earliest first; what was never scheduled comes before.
_BY_SCHEDULE = [("scheduledAt", ASCENDING), ("_id", ASCENDING)]
#: By how much the clocks of two workers may differ.
_CLOCK_SKEW = timedelta(seconds=60)

#: An expired key is taken away from its action at the first attempt; the next ones are for those who race for it.
_ATTEMPTS = 5


class NotInserted(PassingFault):
    """The database is away, and has never got the new action: it is not there."""


class Gate(NamedTuple):
    """What decides whether a chunk of an action runs: its status, and the key of its seal, if it has one."""

    status: Status
    chunk_key: str | None


class Claimed(NamedTuple):
    """Actions that a dispatcher is to announce: how many were found, and which of them are the caller's, in order."""

    found: int
    ids: list[str]


@MONGO.at_border
class Actions:
    """The collection of actions."""

    #: What the list of an account and the dispatcher's looks need.
    INDEXES: ClassVar[tuple[IndexModel, ...]] = (
        IndexModel([("accountId", 1), ("createdAt", -1), ("_id", -1)]),
        IndexModel([("accountId", 1), ("updatedAt", 1)]),
        IndexModel([("accountId", 1), ("entityType", 1), ("startedAt", -1), ("_id", -1)]),
        IndexModel([("status", 1), ("scheduledAt", 1)]),
        # Whether anything moves is asked for each action that does not.
        IndexModel("progressAt", sparse=True),
        IndexModel("cleanupAt", sparse=True),
        # What of an action may not be in the index of events (app/adapters/mongo/index_queue.py).
        IndexModel("indexAt", sparse=True),
        expiry_index(),
        # What an account has is counted from this index alone.
        IndexModel([("accountId", 1), ("status", 1), ("fileSize", 1), ("totalCount", 1)]),
        # One field, because a compound index has every document that has any of its fields, sparse or not.
        IndexModel("idempotencyKey", unique=True, sparse=True),
    )

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        #: Told the id of each action whose status has changed.
        self.on_transition: Callable[[str], Awaitable[None]] = _nobody
        #: For what must stay whatever happens: that an action exists, and that it has ended.
        self._journaled = journaled(collection)

    async def create_indexes(self) -> None:
        """Create the indexes; harmless when they exist."""
        await self._collection.create_indexes(list(self.INDEXES))

    async def add(self, action: Action) -> Action:
        """Store a new action, unless its ``idempotencyKey``, if it has one, stands for another one already.

        Returns the action that stands. Key and action are one document: no crash can come between them.

        Raises:
            NotInserted: the database is away, and the action is not there.
            Conflict: there is an action of that id.
        """
        document, key = {**action.to_document(), "indexAt": action.created_at}, action.idempotency_key
        for attempt in range(_ATTEMPTS):
            try:
                await self._journaled.insert_one(document)
                return action
            except ServerSelectionTimeoutError as error:
                # Behind a first attempt nobody knows: the driver may have sent that twice.
                if attempt:
                    raise
                raise NotInserted(str(error), Dependency.DATABASE) from error
            except DuplicateKeyError:
                if key is None or attempt == _ATTEMPTS - 1:
                    raise
            if (standing := await self.find_by_idempotency_key(key)) is not None:
                return standing
            # The key is free: its action is too old, or somebody else has just found that out.
        raise AssertionError("unreachable")

    async def find_by_idempotency_key(self, key: str) -> Action | None:
        """Return the action of an idempotency key; one that is older than a key lives loses it."""
        action = _action(await self._collection.find_one({"idempotencyKey": key}))
        if action is None or lives_for_ever(key) or datetime.now(UTC) - action.created_at < KEY_LIFETIME:
            return action
        await self._collection.update_one({"_id": action.id, "idempotencyKey": key}, {"$unset": {"idempotencyKey": ""}})
        return None

    async def link_retry(self, action_id: str, retry_id: str) -> None:
        """Note which action retries an action: the one of its key, so that there is no other."""
        update = {"$set": {"retriedBy": retry_id}, **to_be_indexed(datetime.now(UTC))}
        await self._collection.update_one({"_id": action_id}, update)

    async def active(self, account_id: str) -> int:
        """Count the actions of an account that have not ended."""
        count: int = await self._collection.count_documents(_active(account_id))
        return count

    async def stored_bytes(self, account_id: str) -> int:
        """Add up the sizes of an account's files."""
        return await self._sum("fileSize", {"accountId": account_id})

    async def active_rows(self, account_id: str) -> int:
        """Add up the rows of an account's actions that have not ended."""
        return await self._sum("totalCount", _active(account_id))

    async def _sum(self, field: str, condition: Document) -> int:
        pipeline = [{"$match": condition}, {"$group": {"_id": None, "sum": {"$sum": f"${field}"}}}]
        sums = await self._collection.aggregate(pipeline).to_list(1)
        return int(sums[0]["sum"]) if sums else 0

    async def get(self, action_id: str, account_id: str | None = None) -> Action | None:
        """Return an action; when ``account_id`` is given, only if it belongs to that account."""
        action = await self.find(action_id, account_id)
        return None if action is None or action.deleting else action

    async def find(self, action_id: str, account_id: str | None = None) -> Action | None:
        """Return an action as :meth:`get`, also one that is being deleted: for whoever finishes what it has begun."""
        action = _action(await self._collection.find_one({"_id": action_id}))
        if action is None or account_id not in (None, action.account_id):
            return None
        return action

    async def existing(self, action_ids: Sequence[str]) -> set[str]:
        """Return those of these ids that are actions."""
        found = self._collection.find({"_id": {"$in": list(action_ids)}}, {"_id": 1})
        return {action["_id"] async for action in found}

    async def page(
        self,
        account_id: str,
        limit: int,
        *,
        status: str | None = None,
        entity_type: str | None = None,
        idempotency_key: str | None = None,
        before: tuple[datetime, str] | None = None,
        history: bool = False,
    ) -> list[Action]:
        """Return up to ``limit`` actions of an account, newest first, older than ``before`` (createdAt, id).

        They come without their columns, of which an action may have hundreds, and without their history, unless that is
        asked for.
        """
        wanted = {"status": status, "entityType": entity_type, "idempotencyKey": idempotency_key}
        condition: Document = {"accountId": account_id, **_THERE}
        condition |= {name: value for name, value in wanted.items() if value is not None}
        if before is not None:
            condition |= older_than("createdAt", *before)
        shown = _WITHOUT_COLUMNS if history else _IN_LISTS
        return await _read(self._collection.find(condition, shown).sort(_NEWEST_FIRST).limit(limit))

    async def changed_since(self, account_id: str, since: datetime, limit: int) -> list[Action]:
        """Return actions of an account that have changed since a time, the first to change first."""
        condition = {"accountId": account_id, "updatedAt": {"$gt": since}, **_THERE}
        return await _read(self._collection.find(condition, _IN_LISTS).sort([("updatedAt", ASCENDING)]).limit(limit))

    async def waiting(self, now: datetime, limit: int) -> list[Action]:
        """Return actions under way, and those that should be by now, without their columns, the first made first."""
        due = {"status": Status.SCHEDULED, "scheduledAt": {"$lte": now}}
        wanted = {"$or": [{"status": {"$in": [Status.QUEUED, Status.PROCESSING]}}, due]}
        return await _read(
            self._collection.find(wanted, _WITHOUT_COLUMNS).sort([("createdAt", ASCENDING)]).limit(limit)
        )

    async def some(self, action_ids: Sequence[str]) -> list[Action]:
        """Return those of the actions that there are, as in a list."""
        return await _read(self._collection.find({"_id": {"$in": list(action_ids)}, **_THERE}, _IN_LISTS))

    async def transition(
        self,
        action_id: str,
        target: Status,
        *,
        source: Status | None = None,
        by: str = PLATFORM,
        reason: str | None = None,
        at: datetime | None = None,
        **changes: Any,
    ) -> Action | None:
        """Change the status if the state machine allows it from the present one. An end is durable on return.

        Args:
            action_id: The action.
            target: Its status from then on.
            source: The only status from which it may come; None: any that the state machine allows.
            by: Who has asked for it.
            reason: Why.
            at: When; None: now.
            changes: Further fields; None: without it.

        Returns:
            The action after the change, or None when it was in another state: somebody else was first.
        """
        now = at or datetime.now(UTC)
        changes = {"status": target, "updatedAt": now, **changes}
        if target in ENDED:
            changes = {"completedAt": now, "progressAt": now, **changes}
        update = _update(changes, Transition(status=target, at=now, by=by, reason=reason))
        collection = self._journaled if target in ENDED else self._collection
        return await self._move(action_id, sources_of(target) if source is None else [source], update, collection)

    async def reschedule(self, action_id: str, at: datetime, *, by: str) -> Action | None:
        """Move a scheduled action to another time; returns as :meth:`transition`."""
        now = datetime.now(UTC)
        moved = Transition(status=Status.SCHEDULED, at=now, by=by, reason=f"moved to {iso_utc(at)}")
        update = _update({"scheduledAt": at, "updatedAt": now}, moved)
        return await self._move(action_id, [Status.SCHEDULED], update, self._collection)

    async def queue_now(self, action_id: str, at: datetime | None, retry_at: datetime, *, by: str) -> Action | None:
        """Queue a scheduled action before its time; the caller is to announce it. Returns as :meth:`transition`.

        ``at`` is what was asked for: a time that is past, or None. Whoever finds the action still queued at
        ``retry_at`` announces it again.
        """
        return await self.transition(
            action_id,
            Status.QUEUED,
            by=by,
            reason="to be done now",
            scheduledAt=at,
            dispatchAt=retry_at,
            dispatchAttempts=1,
        )

    async def _move(
        self,
        action_id: str,
        sources: Sequence[Status],
        update: Document,
        collection: Any,
        condition: Mapping[str, Any] = _NO_CONDITION,
    ) -> Action | None:
        wanted = {"_id": action_id, "status": {"$in": list(sources)}, **condition}
        moved = _action(await collection.find_one_and_update(wanted, update, return_document=ReturnDocument.AFTER))
        if moved is not None:
            await self.on_transition(action_id)
        return moved

    async def start(self, action_id: str, announcement: str | None) -> Action | None:
        """Begin a queued action, in answer to an announcement; returns as :meth:`transition`."""
        return await self.transition(
            action_id,
            Status.PROCESSING,
            source=Status.QUEUED,
            startedAt=datetime.now(UTC),
            announcement=announcement,
            dispatchAt=None,
        )

    async def pause_for_failures(self, action_id: str, reason: str, common: Iterable[CommonFailure]) -> Action | None:
        """Pause an action under way because too many of its rows have failed, unless it was so before.

        Returns as :meth:`transition`.
        """
        now = datetime.now(UTC)
        changes: Document = {
            "status": Status.PAUSED,
            "updatedAt": now,
            "failureLimitReached": True,
            "commonFailures": [failure.to_document() for failure in common],
        }
        update = _update(changes, Transition(status=Status.PAUSED, at=now, reason=reason))
        once = {"failureLimitReached": {"$ne": True}}
        return await self._move(action_id, [Status.OPEN, Status.PROCESSING], update, self._collection, once)

    async def resume(self, action: Action, *, by: str, reason: str | None) -> Action | None:
        """Let a paused action go on; returns as :meth:`transition`."""
        # Its chunks are waited for anew.
        anew = {"stream.waitingSince": datetime.now(UTC), "stream.backlog": None}
        waiting = anew if action.stream is not None else {}
        return await self.transition(
            action.id,
            Status.OPEN if action.takes_chunks else Status.PROCESSING,
            source=Status.PAUSED,
            **waiting,
            by=by,
            reason=reason,
            # It may have been paused before it began.
            startedAt=action.started_at or datetime.now(UTC),
            # What it was waiting for then is over.
            dispatchAt=None,
            stalls=None,
            stalledAt=None,
            reissues=None,
        )

    async def take_number(self, action_id: str, number: int | None) -> Action | None:
        """Note that an action is about to get a chunk of a number, or of the next one (None).

        Returns:
            The action then, whose ``chunk_count`` is above the number and, where it was the next one, one above it.
            None when it takes no more chunks, or numbers them in the other way.
        """
        other = Numbering.ARRIVAL if number is not None else Numbering.INDEX
        own = Numbering.INDEX if number is not None else Numbering.ARRIVAL
        return _action(
            await self._journaled.find_one_and_update(
                {"_id": action_id, **_TAKES_CHUNKS, "stream.numbering": {"$ne": other}},
                {
                    "$set": {"stream.numbering": own},
                    **({"$inc": {"chunkCount": 1}} if number is None else {"$max": {"chunkCount": number + 1}}),
                },
                return_document=ReturnDocument.AFTER,
            )
        )

    async def note_chunk(self, action_id: str, rows: int, size: int) -> Action | None:
        """Count a chunk that has arrived; return the action then, None when it takes no more of them.

        The sums are about right, because nobody knows of a chunk that was counted by whom died then; exact ones follow
        when the action is sealed.
        """
        now = datetime.now(UTC)
        return _action(
            await self._collection.find_one_and_update(
                {"_id": action_id, **_TAKES_CHUNKS},
                {
                    "$inc": {"totalCount": rows, "fileSize": size, "stream.arrived": 1},
                    "$set": {"stream.waitingSince": now, "updatedAt": now},
                    "$unset": {"stream.backlog": ""},
                },
                return_document=ReturnDocument.AFTER,
            )
        )

    async def declare(self, action_id: str, declared: Declared, by: str | None = None) -> Action | None:
        """Note how many rows or chunks an action has, and who says so, unless that is known.

        Returns the action then, None if it is known.
        """
        now = datetime.now(UTC)
        said = {"stream.declared": {"rows": declared.rows, "chunks": declared.chunks}, "stream.closedBy": by}
        return _action(
            await self._journaled.find_one_and_update(
                {"_id": action_id, **_TAKES_CHUNKS, "stream.declared": {"$exists": False}},
                {
                    "$set": {**said, "stream.waitingSince": now, "updatedAt": now},
                    "$unset": {"stream.backlog": ""},
                },
                return_document=ReturnDocument.AFTER,
            )
        )

    async def seal(self, action_id: str, chunk_count: int, rows: int, size: int) -> Action | None:
        """Let an action take no more chunks, all of which are there; returns as :meth:`transition`.

        None as well when another number has been taken meanwhile.
        """
        now = datetime.now(UTC)
        changes = {"status": Status.PROCESSING, "updatedAt": now, **_sealed(rows, size)}
        update = _update(changes, Transition(status=Status.PROCESSING, at=now, reason="all of its chunks are there"))
        unchanged = {"chunkCount": chunk_count, "stream.sealed": False}
        return await self._move(action_id, [Status.OPEN], update, self._collection, unchanged)

    async def seal_ended(self, action_id: str, rows: int, size: int) -> None:
        """Note what had arrived of an action that ended while it took chunks."""
        await self._collection.update_one(
            {"_id": action_id, "status": {"$in": sorted(ENDED)}},
            {"$set": {**_sealed(rows, size), "updatedAt": datetime.now(UTC)}},
        )

    async def count_refused(self, action_id: str) -> int:
        """Count a chunk that was refused; return how many that are."""
        found = await self._collection.find_one_and_update(
            {"_id": action_id},
            {"$inc": {"stream.refused": 1}},
            projection={"stream.refused": 1},
            return_document=ReturnDocument.AFTER,
        )
        return 0 if found is None else int(found["stream"]["refused"])

    async def note_backlog(self, action_id: str, ends: Sequence[int]) -> None:
        """Note where the partitions of the chunk topic end while an action waits."""
        await self._collection.update_one({"_id": action_id}, {"$set": {"stream.backlog": list(ends)}})

    async def change_token(self, action_id: str, token_digest: str) -> None:
        """Let the chunks of an action have another token from now on."""
        await self._journaled.update_one({"_id": action_id}, {"$set": {"stream.tokenDigest": token_digest}})

    async def gate(self, action_id: str) -> Gate | None:
        """Return what decides whether a chunk of an action runs; None when there is no such action."""
        document = await self._collection.find_one({"_id": action_id}, {"status": 1, "chunkKey": 1})
        return None if document is None else Gate(Status(document["status"]), document.get("chunkKey"))

    async def end(
        self,
        action_id: str,
        status: Status,
        counts: Counts,
        version: int,
        *,
        cleanup_at: datetime,
        retained_until: datetime | None = None,
        by: str = PLATFORM,
        reason: str | None = None,
        at: datetime | None = None,
    ) -> Action | None:
        """End an action with counters of a version, and ask for its clean-up; returns as :meth:`transition`.

        ``reason`` is, where it has failed, its error; ``retained_until`` is when it expires (None: never); ``at`` is
        when it ends (None: now).
        """
        changes: Document = {
            **counts.to_document(),
            "countsVersion": version,
            "cleanupAt": cleanup_at,
            "retainedUntil": retained_until,
        }
        if status == Status.FAILED:
            changes["error"] = reason
        if status == Status.CANCELLED:
            changes["cancelledBy"] = by
        return await self.transition(action_id, status, by=by, reason=reason, at=at, **changes)

    async def stored_counters(self, action_id: str) -> dict[str, int]:
        """Return the counters of an action by their names, each as it is stored."""
        names = dict.fromkeys(Counts().to_document(), 1)
        document = await self._collection.find_one({"_id": action_id}, names) or {}
        return {name: document.get(name, 0) for name in names}

    async def record_progress(self, action_id: str, counts: Counts) -> None:
        """Write new counters of an action that has not ended."""
        now = datetime.now(UTC)
        await self._collection.update_one(
            {"_id": action_id, "status": {"$in": _UNDER_WAY}},
            {"$set": {**counts.to_document(), "updatedAt": now, "progressAt": now}, **to_be_indexed(now)},
        )

    async def any_progress_since(self, timestamp: datetime) -> bool:
        """Tell whether any action has had new results, or has ended, since a time."""
        lately = {"$gte": timestamp, "$lte": datetime.now(UTC) + _CLOCK_SKEW}
        return await self._collection.find_one({"progressAt": lately}, {"_id": 1}) is not None

    async def correct_counts(self, action_id: str, counts: Counts, version: int) -> None:
        """Write the counters of an action that has ended, after a dead chunk was replayed or one came late.

        Nothing is written over counters of the same or a higher version.
        """
        now = datetime.now(UTC)
        changes = {**counts.to_document(), "countsVersion": version, "updatedAt": now}
        await self._collection.update_one(
            {
                "_id": action_id,
                "status": {"$in": sorted(ENDED)},
                "$or": [{"countsVersion": {"$exists": False}}, {"countsVersion": {"$lt": version}}],
            },
            {"$set": changes, **to_be_indexed(now)},
        )

    async def claim_due_cleanups(self, now: datetime, lease: timedelta, limit: int) -> list[Action]:
        """Return actions whose clean-up is due, which nobody else is given during the lease."""
        return await self._claim({"cleanupAt": {"$lte": now}}, {"cleanupAt": now + lease}, limit)

    async def schedule_cleanup(
        self, action_id: str, at: datetime, *, recounted: bool = False, deleting: bool = False
    ) -> None:
        """Ask for a clean-up at a time.

        Args:
            action_id: The action.
            at: The time.
            recounted: Whether the counters were recounted after the end.
            deleting: Whether it is for its deletion, which nothing else puts off.
        """
        changes = {"cleanupAt": at, "recounted": True} if recounted else {"cleanupAt": at}
        wanted = {"_id": action_id, "deletingAt": {"$ne": None} if deleting else None}
        await self._collection.update_one(wanted, {"$set": changes})

    async def finish_cleanup(self, action_id: str, *, expire_at: datetime | None = None) -> None:
        """Note that nothing is left to be cleaned up, unless the action is to be deleted by now.

        ``expire_at``: from then on the server may remove it. So it does not go before what belongs to it can.
        """
        # With a last look of the indexer, at all that came late.
        update: Document = {"$unset": {"cleanupAt": ""}, **to_be_indexed(datetime.now(UTC))}
        if expire_at is not None:
            update["$set"] = {"expireAt": expire_at}
        await self._collection.update_one({"_id": action_id, **_THERE}, update)

    async def begin_deletion(self, action_id: str, account_id: str) -> bool:
        """Take an action that has ended away from everybody's eyes, for good; False when it is in another state.

        From then on only its clean-up has it, which is due at once. Its idempotency key is free.
        """
        now = datetime.now(UTC)
        wanted = {"_id": action_id, "accountId": account_id, "status": {"$in": sorted(ENDED)}, **_THERE}
        begun = await self._journaled.update_one(wanted, _deletion(now))
        return bool(begun.matched_count)

    async def delete_expired(self, now: datetime, limit: int) -> int:
        """Begin to delete actions whose time is over, where the server has not removed them; return how many."""
        expired = {"expireAt": {"$lte": now}}
        found = await self._collection.find(expired, {"_id": 1}).limit(limit).to_list(limit)
        if not found:
            return 0
        ids = [document["_id"] for document in found]
        begun = await self._collection.update_many({"_id": {"$in": ids}, **expired, **_THERE}, _deletion(now))
        return int(begun.modified_count)

    async def remove(self, action_id: str) -> None:
        """Remove an action that is being deleted, after everything else that belongs to it."""
        await self._collection.delete_one({"_id": action_id, "deletingAt": {"$ne": None}})

    async def record_stall(self, action_id: str, stalls: int, counted_chunks: int, reissues: Iterable[Reissue]) -> None:
        """Remember how often in a row an action has stalled, how far it was, and which chunks were sent again."""
        remembered = [reissue.to_document() for reissue in reissues]
        await self._collection.update_one(
            {"_id": action_id},
            {
                "$set": {"stalls": stalls, "stalledAt": counted_chunks, "reissues": remembered},
                **to_be_indexed(datetime.now(UTC)),
            },
        )

    async def of_type(self, account_id: str, entity_type: str, action_type: str) -> AsyncIterator[Action]:
        """Return the actions of an account that do one thing with one kind of record, newest first."""
        wanted = {"accountId": account_id, "entityType": entity_type, "actionType": action_type}
        async for document in self._collection.find(wanted).sort(_NEWEST_FIRST):
            yield Action.from_document(document)

    async def changing(
        self, account_id: str, entity_type: str, *, upto: datetime | None = None
    ) -> AsyncGenerator[Action, None]:
        """Yield the actions that have changed records of a kind, or may do so, as a list has them.

        The last to start comes first; those that started after ``upto`` are left out.
        """
        wanted: Document = {
            "accountId": account_id,
            "entityType": entity_type,
            **_THERE,
            "startedAt": {"$exists": True} if upto is None else {"$lte": upto},
            # Counters are good for certain when nothing is left to be done for the action.
            "$or": [
                {"status": {"$in": sorted(set(Status) - ENDED)}},
                {"cleanupAt": {"$exists": True}},
                *({f"{change.lower()}Count": {"$gt": 0}} for change in CHANGES),
            ],
        }
        async for document in self._collection.find(wanted, _IN_LISTS).sort(_LAST_STARTED_FIRST):
            yield Action.from_document(document)

    async def ended(self, *, account_id: str | None = None, since: datetime | None = None) -> AsyncIterator[Action]:
        """Yield every action that has ended, oldest first; of one account, or made since a time, if that is said."""
        condition: Document = {"status": {"$in": sorted(ENDED)}, **_THERE}
        if account_id is not None:
            condition["accountId"] = account_id
        if since is not None:
            condition["createdAt"] = {"$gte": since}
        async for document in self._collection.find(condition).sort("_id", 1):
            yield Action.from_document(document)

    async def under_way(self) -> AsyncIterator[Action]:
        """Yield every action that has begun and not ended, oldest first."""
        begun = sorted({Status.OPEN, Status.PROCESSING, Status.PAUSED})
        async for document in self._collection.find({"status": {"$in": begun}, **_THERE}).sort("_id", 1):
            yield Action.from_document(document)

    async def claim_schedules(self, now: datetime, retry_at: datetime, limit: int) -> Claimed:
        """Queue scheduled actions whose time has come, the earliest first, at most ``limit`` of them.

        The caller is to announce them; whoever finds one still queued at ``retry_at`` does it again.
        """
        due = {"status": Status.SCHEDULED, "scheduledAt": {"$lte": now}}
        started = Transition(status=Status.QUEUED, at=now, reason="its time has come")
        update = _update({"status": Status.QUEUED, "dispatchAt": retry_at, "updatedAt": now}, started)
        found = await self._collection.find(due, {"_id": 1}).sort(_BY_SCHEDULE).limit(limit).to_list(limit)
        ids = [document["_id"] for document in found]
        claimed = await self._claim_dispatch(ids, due, update)
        await asyncio.gather(*map(self.on_transition, claimed))
        return Claimed(len(ids), claimed)

    async def claim_queued(
        self, now: datetime, retry_at: Callable[[int], datetime], latest: datetime, limit: int
    ) -> Claimed:
        """Take queued actions that are to be announced (again), which nobody else is given.

        Args:
            now: The time.
            retry_at: When to do it again, after so many attempts.
            latest: No action waits longer: what is to wait beyond that was written by a clock that went wrong.
            limit: Most of them.
        """
        when = [{"dispatchAt": {"$lte": now}}, {"dispatchAt": {"$gt": latest}}, {"dispatchAt": None}]
        due = {"status": Status.QUEUED, "$or": when}
        found = self._collection.find(due, {"dispatchAttempts": 1}).sort(_BY_SCHEDULE).limit(limit)
        by_attempts: dict[int, list[str]] = {}
        async for document in found:
            by_attempts.setdefault(document.get("dispatchAttempts", 0), []).append(document["_id"])
        claimed: list[str] = []
        for attempts, ids in by_attempts.items():
            update = {"$set": {"dispatchAt": retry_at(attempts), "updatedAt": now}}
            claimed += await self._claim_dispatch(ids, due, update)
        return Claimed(sum(map(len, by_attempts.values())), claimed)

    async def traceparents(self, action_ids: Sequence[str]) -> dict[str, str | None]:
        """Return in which traces actions were made."""
        found = self._collection.find({"_id": {"$in": list(action_ids)}}, {"traceparent": 1})
        return {document["_id"]: document.get("traceparent") async for document in found}

    async def record_dispatch_failure(self, action_ids: Sequence[str], error: str) -> None:
        """Note why actions could not be announced."""
        await self._collection.update_many({"_id": {"$in": list(action_ids)}}, {"$set": {"lastDispatchError": error}})

    async def _claim_dispatch(self, ids: Sequence[str], due: Document, update: Document) -> list[str]:
        """Change those of the actions that are due, and count an attempt; return them, in the given order."""
        if not ids:
            return []
        # One command for all of them. Whose claim it was is told by a mark that nobody else has.
        mark = uuid4().hex
        counted = {**update.get("$inc", {}), "dispatchAttempts": 1}
        update = {**update, "$set": {**update["$set"], "dispatcher": mark}, "$inc": counted}
        await self._collection.update_many({"_id": {"$in": list(ids)}, **due}, update)
        found = self._collection.find({"_id": {"$in": list(ids)}}, {"dispatcher": 1})
        claimed = {document["_id"] async for document in found if document.get("dispatcher") == mark}
        return [action_id for action_id in ids if action_id in claimed]

    async def claim_unchanged(self, status: Status, since: datetime, limit: int) -> list[Action]:
        """Return actions of a status that nothing has changed since a time, none of which another caller is given.

        An action is claimed by moving its ``updatedAt``, so that it counts as changed.
        """
        # What was changed in the future was changed by a clock that was wrong.
        when = [{"updatedAt": {"$lte": since}}, {"updatedAt": {"$gt": datetime.now(UTC) + _CLOCK_SKEW}}]
        unchanged = {"status": status, "$or": when}
        return await self._claim(unchanged, {"updatedAt": datetime.now(UTC)}, limit)

    async def _claim(self, condition: Document, changes: Document, limit: int) -> list[Action]:
        """Return actions for which a condition holds; the changes, after which it does not, give each to one caller."""
        found = await _read(self._collection.find(condition).limit(limit))
        return [action for action in found if await claim_one(self._collection, action.id, condition, changes)]


def _sealed(rows: int, size: int) -> Document:
    return {"totalCount": rows, "fileSize": size, "stream.sealed": True}


async def _nobody(_: str) -> None:
    pass


async def _read(found: Any) -> list[Action]:
    return [Action.from_document(document) async for document in found]


def _active(account_id: str) -> Document:
    """Match the actions of an account that have not ended."""
    return {"accountId": account_id, "status": {"$in": sorted(set(Status) - ENDED)}}


def _deletion(now: datetime) -> Document:
    """Return the update that begins the deletion of an action."""
    # The server is not to remove it before all that belongs to it is gone.
    return {"$set": {"deletingAt": now, "cleanupAt": now}, "$unset": {"idempotencyKey": "", "expireAt": ""}}


def _update(changes: Document, transition: Transition) -> Document:
    """Return the update that makes changes (None: takes a field away) and remembers a transition, in one step."""
    update: Document = {
        "$set": {name: value for name, value in changes.items() if value is not None},
        "$push": {"history": {"$each": [transition.to_document()], "$slice": -MAX_HISTORY}},
        **to_be_indexed(transition.at),
    }
    if gone := {name: "" for name, value in changes.items() if value is None}:
        update["$unset"] = gone
    return update


def _action(document: Document | None) -> Action | None:
    return None if document is None else Action.from_document(document)
