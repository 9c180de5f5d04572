"""The server that stands in for ``mongod``: what it keeps when it is killed, and a file that was broken before."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from stack import MONGO, Stack
from stack.downloads import LIBRARY
from stack.errors import StackError
from stack.instance import Instance
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("mongod") is not None, reason="a real mongod is used here"),
]

_DOWNLOAD = MONGO.programs[1].download
_ROUNDS = 3
_CLIENTS = 4
_STATEMENTS = 200
_JOURNALED_EVERY = 5
#: Commands of a client in one round until the server is killed: one to two seconds of load.
_COMMANDS = 8


class Client:
    """Sends one bulk upsert of new records after the other until the server is gone."""

    def __init__(self, uri: str, name: str) -> None:
        self.name = name
        #: Commands sent; answered; and answered no later than one that was journaled.
        self.sent = self.answered = self.kept = 0
        self.errors: list[Any] = []
        self._uri = uri
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with _connect(self._uri) as client:
            try:
                while True:
                    self._send(client.get_default_database())
            except PyMongoError:
                return

    def _send(self, database: Any) -> None:
        journaled = self.sent % _JOURNALED_EVERY == 0
        updates = [
            {"q": {"_id": f"{self.name}:{self.sent}:{row}"}, "u": {"$set": {"text": "x" * 100}}, "upsert": True}
            for row in range(_STATEMENTS)
        ]
        self.sent += 1
        reply = database.command(
            {"update": "records", "updates": updates, "ordered": False, "writeConcern": {"w": 1, "j": journaled}}
        )
        self.errors += reply.get("writeErrors", [])
        self.answered = self.sent
        if journaled:
            self.kept = self.sent


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[Instance]:
    with Stack(directory=tmp_path, services=("mongo",), ports="free") as stack:
        yield stack["mongo"]


def test_kills_leave_whole_commands(mongo: Instance) -> None:
    """Every record that a scan finds is found by its id, every command is there as a whole or not at all."""
    kept: dict[str, int] = {}
    for turn in range(_ROUNDS):
        clients = [Client(mongo.uri, f"{turn}-{number}") for number in range(_CLIENTS)]
        wait_for(lambda: all(client.answered >= _COMMANDS for client in clients), "under load")  # noqa: B023
        mongo.kill()
        for client in clients:
            client.thread.join(30)
            assert not client.errors, client.errors[0]
            kept[client.name] = client.kept
        mongo.start()
        _assert_whole(mongo.uri, kept)


def test_filters_beside_the_id_hold(mongo: Instance) -> None:
    """A filter with an indexed field and further conditions finds what a scan finds, after a restart too."""
    with _connect(mongo.uri) as client:
        records = client.get_default_database()["records"]
        records.create_index("key", unique=True, sparse=True)
        records.insert_many([{"_id": f"r{n}", "state": "AB"[n % 2], **({"key": n} if n < 5 else {})} for n in range(9)])
        assert records.update_one({"_id": "r3", "state": "A"}, {"$set": {"seen": 1}}).matched_count == 0
        assert records.update_one({"_id": "r3", "state": "B"}, {"$set": {"seen": 1}}).matched_count == 1
        assert records.delete_many({"_id": {"$in": ["r0", "r1"]}, "state": "A"}).deleted_count == 1
        with pytest.raises(DuplicateKeyError):
            records.update_one({"_id": "r4", "state": "B"}, {"$set": {"seen": 1}}, upsert=True)
    mongo.stop()
    mongo.start()
    with _connect(mongo.uri) as client:
        records = client.get_default_database()["records"]
        assert [found["_id"] for found in records.find({"key": 3, "seen": 1})] == ["r3"]
        assert [found["_id"] for found in records.find({"key": None, "_id": "r7", "state": "B"})] == ["r7"]
        assert records.find_one({"key": 3, "state": "A"}) is None
        assert records.count_documents({"_id": {"$in": ["r1", "r2", "r5"]}, "$or": [{"state": "B"}, {"key": 2}]}) == 3


@pytest.mark.skipif(shutil.which("javac") is None, reason="a Java compiler is needed to break the file")
def test_a_broken_index_is_built_anew(mongo: Instance, tmp_path: Path) -> None:
    """A file of an earlier server, in which a document was not in its index, is repaired when it is opened."""
    with _connect(mongo.uri) as client:
        database = client.get_default_database()
        database["records"].insert_many([{"_id": name} for name in ("a", "b", "c")])
        name = database.name
    mongo.stop()
    assert _DOWNLOAD is not None
    library = _DOWNLOAD.path(LIBRARY)
    file = tmp_path / "mongo" / "data.mv"
    command = ["java", "-cp", f"{library}/*", str(Path(__file__).with_name("BreakIndex.java")), str(file), name]
    subprocess.run(command, check=True, timeout=60)
    mongo.start()
    with _connect(mongo.uri) as client:
        records = client.get_default_database()["records"]
        assert {record["_id"] for record in records.find({"_id": {"$in": ["a", "b", "c", "gone"]}})} == {"a", "b", "c"}
        for name in ("a", "gone"):
            records.update_one({"_id": name}, {"$set": {"n": 1}}, upsert=True)
        assert {record["_id"] for record in records.find()} == {"a", "b", "c", "gone"}
    assert "1 of them not in its index" in mongo.log.read_text()


def test_an_unreadable_file_is_refused(mongo: Instance, tmp_path: Path) -> None:
    """A file that cannot be used is refused in one line that names it."""
    mongo.stop()
    file = tmp_path / "mongo" / "data.mv"
    file.write_bytes(b"no database" * 10_000)
    with pytest.raises(StackError) as refusal:
        mongo.start()
    assert f"The data file {file} cannot be used" in str(refusal.value)
    assert "Exception in thread" not in str(refusal.value)


def _assert_whole(uri: str, kept: Mapping[str, int]) -> None:
    """All commands are there that were journaled, or sent before one that was; none is there in part."""
    with _connect(uri) as client:
        records = client.get_default_database()["records"]
        ids = [record["_id"] for record in records.find({}, {"_id": 1})]
        found = {
            record["_id"]
            for start in range(0, len(ids), 100)
            for record in records.find({"_id": {"$in": ids[start : start + 100]}}, {"_id": 1})
        }
    lost = [_id for _id in ids if _id not in found]
    assert not lost, f"{len(lost)} records are not found by their id, such as {lost[0]}"
    commands = Counter(_id.rpartition(":")[0] for _id in ids)
    assert set(commands.values()) == {_STATEMENTS}
    assert [name for name, count in kept.items() for n in range(count) if f"{name}:{n}" not in commands] == []


def _connect(uri: str) -> pymongo.MongoClient[Any]:
    return pymongo.MongoClient(
        uri, serverSelectionTimeoutMS=1000, retryWrites=False, retryReads=False, document_class=RawBSONDocument
    )
