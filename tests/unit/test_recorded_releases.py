"""What earlier releases have stored and sent is understood, and what later ones add to it is no obstacle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.adapters.mongo.api_keys import _key
from app.adapters.mongo.erased_actions import _erased
from app.domain.actions import Action, Status
from app.domain.dead_letters import DeadLetter, Kind
from app.domain.outcomes import ChunkOutcome
from app.kafka.inline_rows import InlineRows, read_chunk
from app.kafka.messages import Chunk, ChunkResult, Feed, Undecodable
from app.kafka.retry_headers import RetryHeaders
from tests.support.fakes import event
from tests.support.installation import Document, Installation, Recorded, load
from tests.support.paths import ROOT

RELEASES = sorted((ROOT / "tests/data").glob("release-*"))
#: What a release of the future may have added.
ADDED = {"fromTheFuture": {"deep": [1, {"er": None}]}}

each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda directory: directory.name)


def _chunk(message: Recorded) -> Chunk | InlineRows:
    headers = list(message.headers)
    return read_chunk(event(message.value, topic="t", key=message.key, headers=headers))


#: How the messages of a topic are read.
READERS: dict[str, Callable[[Recorded], Any]] = {
    "": _chunk,
    ".feed": lambda message: Feed.decode(message.value),
    ".results": lambda message: ChunkResult.decode(message.value),
    ".retry.1": _chunk,
    ".DLQ": _chunk,
}

#: How the documents of a collection are read.
DOCUMENTS: dict[str, Callable[[Document], Any]] = {
    "bulk_operations": Action.from_document,
    "chunk_outcomes": ChunkOutcome.from_document,
    "dead_letters": DeadLetter.from_document,
    "api_keys": _key,
    "erased_actions": _erased,
}


def documents(release: Path) -> list[tuple[str, Document]]:
    found, _ = load(release)
    return [(name, document) for name, stored in found.documents.items() if name in DOCUMENTS for document in stored]


def messages(release: Path) -> list[Recorded]:
    found, _ = load(release)
    garbage = {letter["payload"] for letter in found.documents["dead_letters"] if letter["kind"] == Kind.POISON}
    return [message for message in found.messages if message.topic in READERS and message.value not in garbage]


def extended(told: Any, name: str = "") -> Any:
    """The same with a field more in every object; a table of counts gets another count."""
    if isinstance(told, Mapping):
        added = {"laterCount": 1} if name == "counts" else ADDED
        return {key: extended(value, key) for key, value in told.items()} | added
    return [extended(value) for value in told] if isinstance(told, list) else told


@each_release
def test_a_release_left_all_states(release: Path) -> None:
    """The recordings show what they are for: actions on their way, chunks given up, messages tried again."""
    found, _ = load(release)
    statuses = {document["status"] for document in found.documents["bulk_operations"]}
    assert statuses >= {Status.SCHEDULED, Status.QUEUED, Status.PROCESSING, Status.COMPLETED}
    assert any(outcome["dead"] for outcome in found.documents["chunk_outcomes"])
    closed = {outcome["_id"] for outcome in found.documents["chunk_outcomes"]}
    assert {opening["_id"] for opening in found.documents["chunk_openings"]} - closed, "chunks that were begun"
    assert {letter["kind"] for letter in found.documents["dead_letters"]} == {Kind.CHUNK, Kind.POISON}
    assert {message.topic for message in found.messages} == {*READERS, ".POISON"}


@each_release
def test_documents_are_understood(release: Path) -> None:
    """Every document is read, and says what it said."""
    for name, document in documents(release):
        assert DOCUMENTS[name](document)
        if name == "bulk_operations":
            action = Action.from_document(document)
            assert action.to_document().items() >= {"_id": document["_id"], "status": document["status"]}.items()
            assert action.counts.processed == document.get("processedCount", 0)
            assert action.counts.to_document()["successCount"] == document.get("successCount", 0)
        if name == "chunk_outcomes":
            outcome = ChunkOutcome.from_document(document)
            rows = outcome.counts.success + len(outcome.exceptions)
            assert rows == outcome.row_count == document["rowCount"]


@each_release
def test_messages_are_understood(release: Path) -> None:
    """Every message is read by the agent of its topic; each that was handed over, with its history."""
    for message in messages(release):
        read = READERS[message.topic](message)
        if isinstance(read, Chunk):
            assert message.key == read.key.encode()
        if message.topic in (".retry.1", ".DLQ"):
            assert RetryHeaders.read(message.headers)


@each_release
def test_seals_are_still_right(release: Path) -> None:
    """A chunk that an earlier release has sealed is none that somebody has forged."""
    found, _ = load(release)
    keys = {action["_id"]: action.get("chunkKey") for action in found.documents["bulk_operations"]}
    chunks = [read for message in messages(release) if isinstance(read := READERS[message.topic](message), Chunk)]
    assert chunks
    for chunk in chunks:
        if (key := keys.get(chunk.action_id)) is not None:
            assert chunk.is_sealed(key)


@each_release
def test_added_fields_of_documents(release: Path) -> None:
    """A document of a later release with more fields is read as if it had none: so an upgrade can be taken back."""
    for name, document in documents(release):
        assert DOCUMENTS[name](extended(document)) == DOCUMENTS[name](document)


@each_release
def test_added_fields_of_messages(release: Path) -> None:
    """The same of messages, and of their headers."""
    for message in messages(release):
        value = json.dumps(extended(json.loads(message.value))).encode()
        headers = (*message.headers, ("from-the-future", b"\xff"))
        more = Recorded(message.topic, message.key, value, headers)
        read = READERS[message.topic](message)
        again = READERS[message.topic](more)
        if isinstance(read, InlineRows):
            # Whatever its rows have is the sender's.
            assert again.key == read.key
        elif isinstance(read, ChunkResult):
            assert (again.key, again.index, again.read_counts()) == (read.key, read.index, read.read_counts())
        else:
            assert again == read
        assert RetryHeaders.read(headers) == RetryHeaders.read(message.headers)


@each_release
def test_garbage_is_still_garbage(release: Path) -> None:
    found, _ = load(release)
    for letter in found.documents["dead_letters"]:
        if letter["kind"] == Kind.POISON:
            with pytest.raises(Undecodable):
                Feed.decode(letter["payload"])


def test_recordings_survive_the_way() -> None:
    """What is recorded is what is put back: times, numbers and bytes keep their types, names of topics change alone."""
    for release in RELEASES:
        found, _ = load(release)
        again = Installation.from_text(found.to_text())
        assert again == found
        moved = found.moved_to("elsewhere")
        assert [message.value for message in moved.messages] == [message.value for message in found.messages]
        assert moved.documents["bulk_operations"] == found.documents["bulk_operations"]
        origins = {letter["origin"]["topic"] for letter in moved.documents["dead_letters"]}
        assert all(topic.startswith("elsewhere") for topic in origins)
