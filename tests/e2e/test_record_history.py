"""A record and its history, as a client asks for them."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.assertions import error_of
from tests.support.files import HEADER
from tests.support.workers import Worker


def path_of(key: str, entity: str = "Contact") -> str:
    # Dots are left as they are, and clients take them out of paths.
    return f"/records/{entity}/{quote(key, safe='').replace('.', '%2E')}"


def ask(worker: Worker, key: str, entity: str = "Contact", **query: str) -> dict[str, Any]:
    answer = worker.client.get(path_of(key, entity), params=query or None)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def run(worker: Worker, content: bytes, **fields: str) -> str:
    action_id = worker.submit(content, **fields)
    assert worker.wait_ended(action_id)["status"] == "COMPLETED"
    return action_id


def row(key: str, name: str) -> bytes:
    return (
        HEADER + f"other-{key},Other,other-{key}@example.com,active\n{key},{name},{key}@example.com,active\n".encode()
    )


def test_life_of_a_record(worker: Worker) -> None:
    """Made, found as it was, changed and deleted: each change with its action and row; the tag names the last."""
    made = run(worker, row("life", "Ada"))
    run(worker, row("life", "Ada"))
    changed = run(worker, row("life", "Lovelace"))
    found = ask(worker, "life")
    record = {"id": "life", "name": "Lovelace", "email": "life@example.com", "status": "active"}
    assert (found["entityType"], found["id"], found["record"]) == ("Contact", "life", record)
    tag = {"createdBy": made, "actionId": changed, "row": 2, "status": "SUCCESS"}
    assert tag.items() <= found["audit"].items()
    assert set(found["audit"]) == {*tag, "startedAt", "at"}
    last = found["history"][0]
    assert found["audit"]["startedAt"] == last["startedAt"] <= found["audit"]["at"] <= last["at"]
    assert last == {
        "actionId": changed,
        "actionType": "BULK_UPDATE",
        "actionStatus": "COMPLETED",
        "fileName": "upload.csv",
        "row": 2,
        "code": "UPDATED",
        "startedAt": last["startedAt"],
        "at": last["at"],
        "by": "nobody in particular",
        "reason": None,
    }
    deleted = run(worker, b"id\nlife\n", actionType="BULK_DELETE")
    found = ask(worker, "life")
    assert (found["record"], found["audit"], found["unreadable"]) == (None, None, [])
    changes = [(entry["actionId"], entry["row"], entry["code"]) for entry in found["history"]]
    assert changes == [(deleted, 1, "DELETED"), (changed, 2, "UPDATED"), (made, 2, "CREATED")]
    assert found["searched"]["complete"]
    assert found["searched"]["actions"] >= 3


def test_values_are_typed(worker: Worker) -> None:
    """Values are shown in the form of their JSON Schema, with all their digits; a patch names its fields in the tag."""
    header = b"id,name,stage,amount,currency,probability,closesOn\n"
    made = run(
        worker,
        header + b'typed,Deal,won,"12.345.678.901.234,5678",EUR,100,31.1.2026\n',
        entityType="Opportunity",
        actionType="BULK_CREATE",
    )
    answer = worker.client.get(path_of("typed", "opportunity"))
    assert '"amount":12345678901234.5678,' in answer.text
    assert answer.json()["record"] == {
        "id": "typed",
        "name": "Deal",
        "stage": "won",
        "amount": 12345678901234.5678,
        "currency": "EUR",
        "probability": 100,
        "closesOn": "2026-01-31",
    }
    task = b"id,subject,status,dueAt,private\ntyped,Call,open,2026-01-31 10:00+01:00,yes\n"
    run(worker, task, entityType="Task", actionType="BULK_CREATE")
    record = ask(worker, "typed", "Task")["record"]
    assert (record["dueAt"], record["private"]) == ("2026-01-31T09:00:00.000Z", True)
    patched = run(worker, b"id,probability\ntyped,50\n", entityType="Opportunity", actionType="BULK_PATCH")
    found = ask(worker, "typed", "Opportunity")
    assert sorted(found["audit"]["fields"]) == ["id", "probability"]
    assert [entry["actionId"] for entry in found["history"]] == [patched, made]


def test_pages_lead_on(worker: Worker) -> None:
    """Page by page the history is the same, each entry once."""
    actions = [run(worker, row("pages", f"Name {number}")) for number in range(3)]
    found: list[str] = []
    address: str | None = f"{path_of('pages')}?limit=1"
    while address is not None:
        answer = worker.client.get(address)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["history"]) <= 1
        found += [entry["actionId"] for entry in page["history"]]
        address = answer.links["next"]["url"] if "next" in answer.links else None
        assert page["searched"]["complete"] == (address is None)
    assert found == actions[::-1]


ODD = [
    "a/b",
    "/",
    "../../health",
    "..",
    ".",
    "a b",
    "a%2Fb",
    "%00",
    "{id}",
    "a?limit=1#x",
    "a;b=c&d",
    "a\\b",
    "a:b",
    '"quoted"',
    "$ne",
    "a+b",
    "<script>",
    "ключ-鍵-😀",
    "é",
    "x" * 128,
    "😀" * 128,
]


@pytest.fixture(scope="module")
def odd(worker: Worker) -> str:
    """The action of a file with odd ids, some of which only differ by how they are encoded."""
    file = io.StringIO()
    csv.writer(file).writerows((key, "Odd", f"odd{number}@example.com", "active") for number, key in enumerate(ODD))
    return run(worker, HEADER + file.getvalue().encode())


@pytest.mark.parametrize("number", range(len(ODD)), ids=lambda number: f"{ODD[number][:20]!r}")
def test_any_id_can_be_asked_for(worker: Worker, odd: str, number: int) -> None:
    """Whatever characters an id has, percent-encoding reaches it, and nothing else."""
    found = ask(worker, ODD[number])
    assert found["record"]["id"] == found["id"] == ODD[number]
    assert [(entry["actionId"], entry["row"]) for entry in found["history"]] == [(odd, number + 1)]


@pytest.mark.parametrize(
    "tail", ["never", "never%2Fwas", "%00", "%0D%0AX-Evil:%201", "%FF%FE", "%ED%A0%80", "a" * 6000]
)
def test_unknown_ids_are_404(worker: Worker, tail: str) -> None:
    """What nothing is known of is not found, however odd it is."""
    answer = worker.client.get(f"/records/Contact/{tail}")
    assert error_of(answer)[:2] == (404, "RECORD_NOT_FOUND")
    assert "X-Evil" not in answer.headers


def test_unknown_entities_are_404(worker: Worker) -> None:
    assert error_of(worker.client.get("/records/Contakt/1"))[:2] == (404, "ENTITY_NOT_FOUND")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "1",
        "1-2-3",
        f"1-{'0' * 24}-",
        f"-{'0' * 24}-1",
        f"{'9' * 30}-{'0' * 24}-1",
        f"1-{'0' * 24}-{'9' * 99}",
        "1٣",
    ],
)
def test_bad_cursors_are_refused(worker: Worker, cursor: str) -> None:
    answer = worker.client.get("/records/Contact/1", params={"cursor": cursor})
    assert error_of(answer)[:2] == (400, "INVALID_CURSOR")


def test_made_up_cursors_give_a_page(worker: Worker) -> None:
    """A cursor that leads nowhere gives an empty page."""
    page = ask(worker, "never", cursor=f"0-{'f' * 24}-7")
    assert (page["record"], page["history"], page["searched"]["complete"]) == (None, [], True)
