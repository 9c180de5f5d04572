"""What clients see of the nouns of the domain: JSON objects in camelCase, the documented fields first."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from app.domain.account_limits import AccountLimits
from app.domain.actions import Action, Status, StoredFile, Transition, initial_status
from app.domain.api_keys import ApiKey
from app.domain.csv.encodings import UTF_8
from app.domain.dead_letters import DeadLetter
from app.domain.dependencies import DependencyState
from app.domain.entities import Entity
from app.domain.entities.kinds import Kind
from app.domain.events import Event
from app.domain.failure_groups import FailureGroup, FailureGroups
from app.domain.outcomes import RowOutcome
from app.domain.searches import FACETS, FoundEvents, Search, marks
from app.domain.speed import Rate
from app.domain.streams import ROWS_PER_CHUNK, Declared, Stream, place_of
from app.domain.timestamps import iso_utc
from app.domain.workers import Roll, SeenWorker
from app.services.record_history import HistoryEntry, HistoryPage
from app.services.search import Changes
from app.services.streams import Opened
from app.settings import Settings
from web.openapi.models import OPENED

#: Rows per second below which no time is told: rounded up from nothing, a rate would make a number that says nothing.
_SLOWEST = 1e-3

#: What answers call the dependencies (``app.context``).
_DEPENDENCIES = {
    "MongoDB": "mongodb",
    "Redis": "redis",
    "the storage": "storage",
    "Kafka": "kafka",
    "Elasticsearch": "elasticsearch",
}

_COUNTS = ("processedCount", "successCount", "failureCount", "skippedCount")
_DETAIL_COUNTS = ("duplicateCount", "createdCount", "updatedCount", "unchangedCount", "deletedCount")


def action_to_response(action: Action) -> dict[str, Any]:
    """Return an action as the API shows it alone."""
    shown = action_to_list_item(action)
    del shown["error"]
    file = action.file
    shown.update(_understood(file))
    shown["ignoredColumns"] = None if file.ignored_columns is None else list(file.ignored_columns)
    # What became of the columns, where the upload said so: each with its field, or null.
    names, fields = file.columns.names, file.columns.fields
    shown["mapping"] = (
        None if fields is None else {name: field or None for name, field in zip(names, fields, strict=True)}
    )
    shown["commonFailures"] = [
        {"code": kind.code, "column": kind.column, "count": kind.count, "firstRow": kind.first_row}
        for kind in action.common_failures
    ]
    shown["stream"] = None if action.stream is None else _stream_to_response(action, action.stream)
    shown["history"] = [_transition_to_response(transition) for transition in action.history]
    shown["error"] = action.error
    return shown


def _total(action: Action) -> int | None:
    """Return how many rows an action has; None while nobody knows."""
    return None if action.takes_chunks else action.total_count


def _chunks(action: Action) -> int | None:
    return None if action.takes_chunks else action.chunk_count


def _stream_to_response(action: Action, stream: Stream) -> dict[str, Any]:
    declared = stream.declared or Declared()
    return {
        "receivedRows": action.total_count,
        "receivedChunks": stream.arrived,
        "refusedChunks": stream.refused,
        "declaredRows": declared.rows,
        "declaredChunks": declared.chunks,
        "closedBy": stream.closed_by,
        "waitingSince": iso_utc(stream.waiting_since) if action.status == Status.OPEN else None,
    }


def opened_to_response(opened: Opened, topic: str, chunk_bytes: int) -> dict[str, Any]:
    """Return what is told of an action that was just opened for rows that come over Kafka."""
    return {
        "actionId": opened.action.id,
        "status": Status.OPEN,
        "message": OPENED,
        "streamToken": opened.token,
        "topic": topic,
        "chunkRows": ROWS_PER_CHUNK,
        "chunkBytes": chunk_bytes,
    }


def _transition_to_response(transition: Transition) -> dict[str, Any]:
    return {
        "status": transition.status,
        "at": iso_utc(transition.at),
        "by": transition.by,
        "reason": transition.reason,
    }


def action_to_list_item(action: Action) -> dict[str, Any]:
    """Return an action as a list shows it: without its columns, of which it may have hundreds."""
    counts = action.counts.to_document()
    return {
        "actionId": action.id,
        "actionType": action.action_type,
        "entityType": action.entity_type,
        "status": action.status,
        "totalCount": _total(action),
        **_some(counts, _COUNTS),
        "createdAt": iso_utc(action.created_at),
        **_some(counts, _DETAIL_COUNTS),
        "unprocessedCount": action.unprocessed_count,
        "chunkCount": _chunks(action),
        "scheduledAt": iso_utc(action.scheduled_at),
        "startedAt": iso_utc(action.started_at),
        "completedAt": iso_utc(action.completed_at),
        "updatedAt": iso_utc(action.updated_at),
        "fileName": action.file.name,
        "fileSize": action.file.size,
        "sha256": action.file.sha256,
        "maxFailures": None if action.max_failures is None else action.max_failures.text,
        "createdBy": action.created_by,
        "cancelledBy": action.cancelled_by,
        "retryOf": action.retry_of,
        "retriedBy": action.retried_by,
        "dispatchAttempts": action.dispatch_attempts,
        "lastDispatchError": action.last_dispatch_error,
        "expiresAt": iso_utc(action.retained_until),
        "error": action.error,
    }


def accepted_to_response(action: Action) -> dict[str, Any]:
    """Return what is told of an action when it was just made, with what was understood of the upload.

    It is as it was when it was made, however far it has come since.
    """
    scheduled, file = iso_utc(action.scheduled_at), action.file
    status = initial_status(action.scheduled_at, action.created_at)
    when = "queued for processing" if status == Status.QUEUED else f"scheduled for {scheduled}"
    return {
        "actionId": action.id,
        "status": status,
        "message": f"Success! Your bulk action has been {when}.",
        "totalCount": action.total_count,
        "scheduledAt": scheduled,
        **_understood(file),
        "ignoredColumns": None if file.ignored_columns is None else list(file.ignored_columns),
    }


def _understood(file: StoredFile) -> dict[str, Any]:
    """Return what a file was taken for, and how sure that is."""
    # Before it was noted, UTF-8 was all that was taken.
    name, source, confidence = file.encoding or (UTF_8, None, None)
    understood = {
        "delimiter": file.delimiter,
        "delimiterSource": file.delimiter_source,
        "encoding": name,
        "encodingSource": source,
        "encodingConfidence": confidence,
    }
    return understood if file.empty_cells is None else {**understood, "emptyCells": file.empty_cells}


def statistics_to_response(action: Action, recent: Rate | None, now: datetime) -> dict[str, Any]:
    """Return the counters of an action with its speed and the time it still needs.

    ``rowsPerSecond`` is the mean since the start. ``etaSeconds`` follows the recent rate where there is one, else that
    mean; it is ``None`` while it cannot be told or the action is paused, and 0 once the action has ended.
    """
    counts = action.counts.to_document()
    total = _total(action)
    pending = None if total is None else total - action.counts.processed - action.unprocessed_count
    mean = 0.0
    if action.started_at is not None:
        until = action.completed_at or now
        mean = action.counts.processed / max((until - action.started_at).total_seconds(), 0.001)
    rate = mean if recent is None else recent.at(now.timestamp())
    moving = rate > _SLOWEST and action.status != Status.PAUSED
    eta = 0.0 if action.ended else pending / rate if moving and pending is not None else None
    return {
        "actionId": action.id,
        "status": action.status,
        "totalCount": total,
        **_some(counts, _COUNTS),
        "pendingCount": pending,
        **_some(counts, _DETAIL_COUNTS),
        "unprocessedCount": action.unprocessed_count,
        "chunkCount": _chunks(action),
        "rowsPerSecond": round(mean, 1),
        "etaSeconds": None if eta is None else round(eta, 1),
        "updatedAt": iso_utc(action.updated_at),
    }


def entity_to_response(entity: Entity) -> dict[str, Any]:
    """Return an entity as a list shows it."""
    return {
        "entityType": entity.name,
        "description": entity.description,
        "fields": list(entity.columns),
        "required": list(entity.required),
        "key": entity.key,
        "unique": list(entity.unique_fields),
    }


def dead_letter_to_response(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the API shows it; a payload that is no text in base64."""
    try:
        text, encoding = letter.payload.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(letter.payload).decode(), "base64"
    origin = letter.origin
    return {
        "id": letter.id,
        "kind": letter.kind,
        "status": letter.status,
        "actionId": letter.action_id,
        "index": letter.index,
        "firstRow": letter.first_row,
        "rowCount": letter.row_count,
        "error": letter.error,
        "retryCount": letter.retry_count,
        "firstFailure": letter.first_failure,
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "at": iso_utc(letter.at),
        "replayedAt": iso_utc(letter.replayed_at),
        "replayedBy": letter.replayed_by,
        "payload": text,
        "payloadEncoding": encoding,
    }


def api_key_to_response(key: ApiKey, now: datetime) -> dict[str, Any]:
    """Return an API key as the API shows it, with its state at ``now``."""
    return {
        "keyId": key.id,
        "name": key.name,
        "role": key.role,
        "state": key.state(now),
        "createdAt": iso_utc(key.created_at),
        "createdBy": key.created_by,
        "expiresAt": iso_utc(key.expires_at),
        "revokedAt": iso_utc(key.revoked_at),
        "revokedBy": key.revoked_by,
    }


def limits_to_response(
    settings: Settings, limits: AccountLimits, *, window_seconds: int, counted: bool
) -> dict[str, Any]:
    """Return what a client can know beforehand of what is refused; ``counted``: whether its requests are counted."""
    return {
        "maxUploadBytes": settings.max_upload_bytes,
        "maxRows": settings.max_rows,
        "maxColumns": settings.max_columns,
        "maxFieldBytes": settings.max_field_bytes,
        "maxRecordBytes": settings.max_record_bytes,
        "scheduleMaxDays": settings.schedule_max_days,
        # Of these, 0 is no limit.
        "retentionDays": settings.retention_days or None,
        "maxActiveActions": limits.active_actions or None,
        "maxActiveRows": limits.active_rows or None,
        "maxStoredBytes": limits.stored_bytes or None,
        "maxApiKeys": settings.max_api_keys_per_account,
        "uploadsPerWindow": limits.uploads or None if counted else None,
        "requestsPerWindow": limits.reads or None if counted else None,
        "windowSeconds": window_seconds,
    }


def row_to_response(row: RowOutcome, original: int | None = None, *, of_stream: bool = False) -> dict[str, Any]:
    """Return the outcome of a row as the API shows it: message, column and owner only where there are any.

    ``original`` is, of a row of a retry, its number in the file of the action that it retries; ``of_stream`` says that
    it came over Kafka, so that it has a chunk and a place.
    """
    shown: dict[str, Any] = {"row": row.row, "status": row.status, "code": row.code}
    if of_stream:
        shown["chunk"], shown["place"] = place_of(row.row)
    if row.status != "SUCCESS":
        shown["message"] = row.message
    if row.column is not None:
        shown["column"] = row.column
    if row.owner is not None:
        shown["ownerRow"] = row.owner
    if original is not None:
        shown["originalRow"] = original
    return shown


def record_to_response(
    entity: Entity, record_id: str, record: Mapping[str, Any] | None, page: HistoryPage
) -> dict[str, Any]:
    """Return a record, None where there is none, with a page of its history."""
    return {
        "entityType": entity.name,
        "id": record_id,
        "record": None if record is None else _fields_to_response(entity, record),
        "audit": None if record is None else _tag_to_response(record),
        "history": [_change_to_response(entry) for entry in page.entries],
        "searched": {
            "actions": page.actions,
            "chunks": page.chunks,
            "since": iso_utc(page.since),
            "complete": page.following is None,
        },
        "unreadable": page.unreadable,
    }


def _fields_to_response(entity: Entity, record: Mapping[str, Any]) -> dict[str, Any]:
    kinds = dict(zip(entity.columns, entity.kinds, strict=True))
    return {name: _value_to_response(record[name], kind) for name, kind in kinds.items() if name in record}


def _value_to_response(value: Any, kind: Kind | None = None) -> Any:
    """Return a value of a record in the form of its JSON Schema; of another type than its field, as what it is."""
    if isinstance(value, datetime):
        return value.date().isoformat() if kind is Kind.DATE else iso_utc(value)
    if isinstance(value, Decimal):
        # A number with all its digits, which a float may not have.
        return orjson.Fragment(str(value)) if value.is_finite() else str(value)
    return value


def _tag_to_response(record: Mapping[str, Any]) -> dict[str, Any]:
    tag = record.get("_bulk")
    tag = tag if isinstance(tag, Mapping) else {}
    names = ("actionId", "row", "status", "startedAt", "at")
    shown = {"createdBy": record.get("createdBy"), **{name: _value_to_response(tag.get(name)) for name in names}}
    return {**shown, "fields": tag["fields"]} if "fields" in tag else shown


def _change_to_response(entry: HistoryEntry) -> dict[str, Any]:
    action = entry.action
    shown = {
        "actionId": action.id,
        "actionType": action.action_type,
        "actionStatus": action.status,
        "fileName": action.file.name,
        "row": entry.row,
        "code": entry.change,
        "startedAt": iso_utc(action.started_at),
        "at": iso_utc(entry.at),
        "by": action.created_by,
        "reason": action.history[-1].reason if action.history else None,
    }
    if action.retry_of is not None:
        shown["retryOf"] = action.retry_of
    if entry.original is not None:
        shown["originalRow"] = entry.original
    if action.stream is not None:
        shown["chunk"], shown["place"] = place_of(entry.row)
    return shown


def found_to_response(found: FoundEvents, search: Search, changes: Changes | None = None) -> dict[str, Any]:
    """Return a page of events, with what was done to the record that is asked for, where one is."""
    searched = found.searched
    shown: dict[str, Any] = {
        "engine": found.engine,
        "events": [_event_to_response(event, search) for event in found.events],
        "counts": {name: dict(found.counts.get(name, {})) for name in FACETS},
        "searched": None
        if searched is None
        else {
            "actions": searched.actions,
            "chunks": searched.chunks,
            "since": iso_utc(searched.since),
            "complete": found.following is None,
        },
    }
    if changes is not None:
        shown["changes"] = [
            {"entityType": change.entity.name, **_change_to_response(change.entry)} for change in changes.changes
        ]
        shown["changesComplete"] = changes.complete
    return shown


def _event_to_response(event: Event, search: Search) -> dict[str, Any]:
    document = event.to_document()
    at = iso_utc(document.pop("@timestamp"))
    return {
        "id": document.pop("id"),
        "at": at,
        **document,
        "highlights": [list(span) for span in marks(event.message, search.terms)],
    }


def failures_to_response(action: Action, groups: FailureGroups, limit: int) -> dict[str, Any]:
    """Return the largest groups of the failures of an action."""
    return {
        "actionId": action.id,
        "status": action.status,
        "failureCount": max(action.counts.failure, groups.count),
        "examinedCount": groups.count,
        "groupCount": len(groups),
        "groups": [_failure_group_to_response(group) for group in groups.largest(limit)],
    }


def _failure_group_to_response(group: FailureGroup) -> dict[str, Any]:
    shown: dict[str, Any] = {"code": group.code, "count": group.count, "message": group.message, "rows": group.rows}
    if group.column is not None:
        shown["column"] = group.column
    if group.value is not None:
        shown["value"] = group.value
    if group.various:
        shown["otherValues"] = True
    return shown


def dependency_name(state: DependencyState) -> str:
    """Return what answers call a dependency; a worker of another version may have one that is unknown here."""
    return _DEPENDENCIES.get(state.name, state.name)


def dependencies_to_response(
    required: Iterable[DependencyState], optional: Iterable[DependencyState]
) -> list[dict[str, Any]]:
    """Return the states of what a worker depends on, those first without which it is not ready."""
    return [
        *(_dependency_to_response(state, required=True) for state in required),
        *(_dependency_to_response(state, required=False) for state in optional),
    ]


def _dependency_to_response(state: DependencyState, *, required: bool) -> dict[str, Any]:
    return {
        "name": dependency_name(state),
        "required": required,
        "ok": state.ok,
        "since": iso_utc(state.since),
        "latencyMs": round(state.latency * 1000, 1),
        "lastError": state.last_error,
        "lastErrorAt": iso_utc(state.last_error_at),
    }


def roll_to_response(roll: Roll, own_id: str) -> dict[str, Any]:
    """Return all workers; ``own_id``: of the one that answers."""
    return {
        "workers": [_worker_to_response(one, roll.at, own_id) for one in roll.workers],
        "at": iso_utc(roll.at),
        "complete": roll.complete,
    }


def _worker_to_response(seen: SeenWorker, at: datetime, own_id: str) -> dict[str, Any]:
    report = seen.report
    return {
        "workerId": report.worker_id,
        "self": report.worker_id == own_id,
        "state": seen.state_at(at),
        "host": report.host,
        "pid": report.pid,
        "port": report.port,
        "version": report.version,
        "startedAt": iso_utc(report.started_at),
        "seenAt": iso_utc(seen.seen_at),
        "leader": report.leader,
        "partitions": dict(report.partitions),
        "chunksInHand": report.chunks_in_hand,
        "rowsPerSecond": round(report.rows_per_second, 1),
        "memoryBytes": report.memory_bytes,
        "openUploads": report.open_uploads,
        "openStreams": report.open_streams,
        "openDownloads": report.open_downloads,
        "dependencies": dependencies_to_response(report.required, report.optional),
    }


def _some(counts: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    return {name: counts[name] for name in names}
