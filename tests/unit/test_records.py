"""What is made of the errors that a real server reports for statements and for commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from app.adapters.mongo import Records
from app.domain.faults import PassingFault
from tests.support.scripted_database import Script, ScriptedDatabase

STATEMENTS = [bson.encode({"q": {"_id": f"a:{n}"}, "u": {"$set": {"n": n}}}) for n in range(100)]


def records(script: Script) -> tuple[Records, ScriptedDatabase]:
    database = ScriptedDatabase(script)
    return Records(database, max_time=5), database


def errors(code: int, *positions: int) -> Mapping[int, Mapping[str, Any]]:
    return {position: {"code": code, "errmsg": "mongo-3.internal:27017 says no"} for position in positions}


@pytest.mark.parametrize("code", [91, 189, 10107, 11600, 11602, 13435, 13436, 262, 9001])
async def test_step_down_of_statements(code: int) -> None:
    """A step-down that is reported for some statements, or by a router for each, refuses no row."""
    for positions in ([7, 8, 9], range(100)):
        store, _ = records(lambda ids, at=positions: errors(code, *at))
        for isolate in (False, True):
            with pytest.raises(PassingFault) as fault:
                await store.update("contacts", STATEMENTS, isolate=isolate)
            assert fault.value.away


@pytest.mark.parametrize("code", [2, 9, 121, 10334, 17419])
async def test_faults_of_a_document(code: int) -> None:
    """Only a fault of the document itself refuses its row, with a text that says nothing of the server."""
    store, database = records(lambda ids: errors(code, 3))
    written = await store.update("contacts", STATEMENTS)
    assert set(written.refused) == {3}
    assert "internal" not in written.refused[3]
    assert written.count == 99
    assert len(database.commands) == 1


async def test_duplicate_keys() -> None:
    """An insert that finds its id taken is a conflict; an update that meets a unique value is refused."""
    store, database = records(lambda ids: errors(11000, ids.index("a:5")))
    documents = [bson.encode({"_id": f"a:{n}"}) for n in range(100)]
    inserted, updated = await store.insert("contacts", documents), await store.update("contacts", STATEMENTS)
    assert (inserted.conflicts, inserted.refused) == ({5}, {})
    assert (updated.conflicts, updated.refused) == (set(), {5: "another record has the same unique value"})
    assert len(database.commands) == 2


async def test_unknown_fault_of_a_statement() -> None:
    """What is not known to be the document's is tried again, and does not refuse it."""
    store, _ = records(lambda ids: errors(4242, 3))
    with pytest.raises(PassingFault) as fault:
        await store.update("contacts", STATEMENTS)
    assert not fault.value.away


async def test_statements_are_halved() -> None:
    """A command that fails as long as it has a certain statement is cut until that one stands alone."""

    def script(ids: list[str]) -> Mapping[int, Mapping[str, Any]]:
        if {"a:41", "a:97"} & set(ids):
            raise OperationFailure("Document with key a:41 already existed")
        return {}

    store, database = records(script)
    written = await store.update("contacts", STATEMENTS, isolate=True)
    assert set(written.failed) == {41, 97}
    assert written.count == 98
    assert len(database.commands) < 40
    with pytest.raises(PassingFault):
        await store.update("contacts", STATEMENTS)


async def test_halving_ends_when_all_fail() -> None:
    """When every statement fails alone it is not the statements, and the command fails as before."""

    def script(ids: list[str]) -> Mapping[int, Mapping[str, Any]]:
        raise OperationFailure("not allowed", 13)

    store, database = records(script)
    with pytest.raises(PassingFault):
        await store.update("contacts", STATEMENTS, isolate=True)
    assert len(database.commands) < 50


async def test_halving_stops_at_an_outage() -> None:
    """A server that goes away while statements are halved is waited for."""

    def script(ids: list[str]) -> Mapping[int, Mapping[str, Any]]:
        raise AutoReconnect("gone") if len(ids) == 1 else OperationFailure("no")

    store, _ = records(script)
    with pytest.raises(PassingFault, match="gone"):
        await store.update("contacts", STATEMENTS, isolate=True)


async def test_writes_have_a_time_limit() -> None:
    """A command that was given up may not be carried out later."""
    store, database = records(lambda ids: {})
    await store.update("contacts", STATEMENTS)
    assert database.last["maxTimeMS"] == 5000
