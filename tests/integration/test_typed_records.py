"""Records with fields of every kind on a real server: stored as its own types, and compared to the bit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64

from app.domain.cells import EmptyCells
from app.domain.entities import ENTITIES
from app.domain.outcomes import Counts
from app.services.verification import verify
from tests.support.bench import Bench, Job

FULL = 'o1,Deal,Negotiation,c7,"1.234,50",eur,50,31.1.2026'
BARE = "o2,Other,won,,,,,"
COMPANY = "c1,Acme,https://acme.example,+49 30 1234567,Steel,de,12,10,EUR,1999-12-31,yes"
TASK = "t1,Call,open,high,Text,ada@example.com,k1,2026-01-31T14:30:00.5+01:00,false"


async def submit(bench: Bench, entity: str, *rows: str, columns: str = "", **fields: Any) -> Job:
    names = columns.split(",") if columns else ENTITIES[entity].columns
    return await bench.finish(await bench.submit(*rows, entity_type=entity, columns=names, **fields))


async def records(bench: Bench, entity: str) -> dict[str, dict[str, Any]]:
    found = bench.database[ENTITIES[entity].collection].find()
    return {record["id"]: record async for record in found}


async def counts(bench: Bench, job: Job) -> Counts:
    """The counts of an action, which the verification finds right."""
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert [text async for text in verify(bench.store, bench.storage, action)] == []
    return action.counts


async def test_types_of_the_database(bench: Bench) -> None:
    """Each value is stored as the type of the database that is made for it; what is empty is not there."""
    await submit(bench, "Opportunity", FULL, BARE)
    await submit(bench, "Company", COMPANY)
    await submit(bench, "Task", TASK)
    deals = await records(bench, "Opportunity")
    hidden = ("_bulk", "createdBy", "accountId", "_id")
    assert {name: value for name, value in deals["o1"].items() if name not in hidden} == {
        "id": "o1",
        "name": "Deal",
        "stage": "negotiation",
        "companyId": "c7",
        "amount": Decimal128("1234.5"),
        "currency": "EUR",
        "probability": Int64(50),
        "closesOn": datetime(2026, 1, 31, tzinfo=UTC),
    }
    assert set(deals["o2"]) - set(hidden) == {"id", "name", "stage"}
    company = (await records(bench, "Company"))["c1"]
    assert (company["phone"], company["customer"], company["employees"]) == ("+49301234567", True, 12)
    task = (await records(bench, "Task"))["t1"]
    assert (task["dueAt"], task["private"]) == (datetime(2026, 1, 31, 13, 30, 0, 500_000, tzinfo=UTC), False)


@pytest.mark.parametrize(("entity", "row"), [("Opportunity", FULL), ("Company", COMPANY), ("Task", TASK)])
async def test_same_values_are_unchanged(bench: Bench, entity: str, row: str) -> None:
    """A record that has the values of a row, however they are written there, is not written again."""
    await submit(bench, entity, row)
    again = await submit(bench, entity, row.replace("31.1.2026", "2026-01-31").replace("1.234,50", "1234.5"))
    assert await counts(bench, again) == Counts(success=1, unchanged=1)


@pytest.mark.parametrize(
    "row",
    [
        FULL.replace("50,31", "51,31"),
        FULL.replace("1.234,50", "1.234,51"),
        FULL.replace("31.1.2026", "30.1.2026"),
        FULL.replace("31.1.2026", ""),
        FULL.replace("c7", ""),
        FULL.replace("eur", "usd"),
    ],
)
async def test_other_values_are_updated(bench: Bench, row: str) -> None:
    """A record of which any value is another one, or has none, is updated; a value that is gone is removed."""
    await submit(bench, "Opportunity", FULL)
    job = await submit(bench, "Opportunity", row)
    assert await counts(bench, job) == Counts(success=1, updated=1)
    again = await submit(bench, "Opportunity", row)
    assert await counts(bench, again) == Counts(success=1, unchanged=1)
    [deal] = (await records(bench, "Opportunity")).values()
    assert ("closesOn" in deal, "companyId" in deal) == ("2026" in row, "c7" in row)


async def test_value_of_another_type_is_updated(bench: Bench) -> None:
    """A value that another program has stored as another type is another value."""
    await submit(bench, "Opportunity", FULL)
    # Not of other numbers: the development server does not write what is equal.
    for other in ("1234.5", None):
        await bench.database["opportunities"].update_one({"id": "o1"}, {"$set": {"amount": other}})
        assert await counts(bench, await submit(bench, "Opportunity", FULL)) == Counts(success=1, updated=1)


async def test_creation_needs_no_optional_column(bench: Bench) -> None:
    """A file that creates may leave out the columns of fields that a record can be without."""
    job = await submit(bench, "Opportunity", "o1,Deal,won", columns="id,name,stage", action_type="BULK_CREATE")
    assert await counts(bench, job) == Counts(success=1, created=1)


async def test_typed_patch(bench: Bench) -> None:
    """A patch of typed fields writes those that have a value, and clears what is to have none."""
    await submit(bench, "Opportunity", FULL, BARE)
    rows = "o1,,#N/A,60", "o2,5,2026-05-01,", "o3,5,,"
    patch = {"columns": "id,amount,closesOn,probability", "action_type": "BULK_PATCH", "empty_cells": EmptyCells.SKIP}
    job = await submit(bench, "Opportunity", *rows, **patch)
    assert await counts(bench, job) == Counts(success=2, failure=1, updated=2)
    deals = await records(bench, "Opportunity")
    assert (deals["o1"]["amount"], deals["o1"]["probability"]) == (Decimal128("1234.5"), 60)
    assert "closesOn" not in deals["o1"]
    assert (deals["o2"]["amount"], deals["o2"]["closesOn"]) == (Decimal128("5"), datetime(2026, 5, 1, tzinfo=UTC))
    again = await submit(bench, "Opportunity", *rows, **patch)
    assert await counts(bench, again) == Counts(success=2, failure=1, unchanged=2)


async def test_wrong_value_is_found(bench: Bench) -> None:
    """The verification compares typed values."""
    job = await submit(bench, "Opportunity", FULL)
    await bench.database["opportunities"].update_one({"id": "o1"}, {"$set": {"probability": Int64(51)}})
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    found = [text async for text in verify(bench.store, bench.storage, action)]
    assert found == ["row 1: its record default:o1 has other values"]
