"""An account sees and changes its own things only; another's are as unknown as those that never were."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pymongo
import pytest

from app.domain.access import Role
from app.domain.api_keys import fingerprint
from tests.support.assertions import error_of
from tests.support.files import HEADER
from tests.support.forms import REQUIRED
from tests.support.issuer import token
from tests.support.secured import Guarded
from tests.support.waiting import wait_for
from tests.support.workers import Worker
from web.routes import ROUTES

UNKNOWN = "0" * 24


@dataclass(frozen=True)
class House:
    """A running worker, and how to be somebody in it."""

    worker: Worker
    mongo_uri: str
    #: The headers with which one is an account.
    headers: Callable[[str], dict[str, str]]

    def get(self, account: str, path: str, /, **query: str) -> httpx.Response:
        return self.worker.client.get(path, params=query or None, headers=self.headers(account))

    def ask(self, account: str, method: str, path: str) -> httpx.Response:
        return self.worker.client.request(method, path, headers=self.headers(account))

    def submit(self, account: str, rows: bytes, **fields: str) -> str:
        answer = self.worker.client.post(
            "/bulk-actions",
            data={**REQUIRED, **fields},
            files={"file": ("upload.csv", HEADER + rows, "text/csv")},
            headers=self.headers(account),
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["actionId"])

    def finish(self, account: str, action_id: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            action = self.get(account, f"/bulk-actions/{action_id}").json()
            return action if action["status"] == "COMPLETED" else None

        return wait_for(ended, "the action is completed")

    def add_letter(self, letter_id: str, **fields: Any) -> None:
        """A dead letter, as the agents keep it."""
        letter = {
            "_id": letter_id,
            "kind": "MESSAGE",
            "status": "DEAD",
            "error": "an error",
            "retryCount": 3,
            "firstFailure": None,
            "origin": {"topic": "nowhere", "partition": 0, "offset": 1},
            "key": b"key",
            "payload": b"secret of an account",
            "complete": True,
            "at": datetime.now(UTC),
            **fields,
        }
        with pymongo.MongoClient[dict[str, Any]](self.mongo_uri) as client:
            client.get_default_database()["dead_letters"].replace_one({"_id": letter_id}, letter, upsert=True)

    def add_key(self, account: str) -> str:
        """An API key of an account, by its id."""
        key = Guarded(self.worker, {"MONGO_DB_URI": self.mongo_uri}).key(account, Role.VIEWER)
        return fingerprint(key)[:16]


@pytest.fixture(scope="module", params=["header", "key", "token"])
def house(request: pytest.FixtureRequest) -> House:
    """The account comes from the header of an open door, from keys, or from tokens."""
    if request.param == "header":
        worker: Worker = request.getfixturevalue("worker")
        mongo_uri = request.getfixturevalue("shared_environment")["MONGO_DB_URI"]
        return House(worker, mongo_uri, lambda account: {"accountid": account})
    guarded: Guarded = request.getfixturevalue("guarded")
    mongo_uri = guarded.environment["MONGO_DB_URI"]
    if request.param == "token":
        return House(
            guarded.worker,
            mongo_uri,
            lambda account: {"Authorization": f"Bearer {token(account=account, role='admin')}"},
        )
    keys: dict[str, str] = {}

    def headers(account: str) -> dict[str, str]:
        if account not in keys:
            keys[account] = guarded.key(account, Role.ADMIN)
        return {"X-API-Key": keys[account]}

    return House(guarded.worker, mongo_uri, headers)


@dataclass(frozen=True)
class Neighbours:
    """Two accounts of a house, and the things of the first."""

    house: House
    owner: str
    other: str
    action_id: str
    waiting_id: str
    letter_id: str
    key_id: str
    #: Other actions of the first, by which a record was made and deleted.
    earlier_ids: list[str]


@pytest.fixture(scope="module")
def neighbours(house: House) -> Neighbours:
    suffix = uuid.uuid4().hex[:10]
    owner, other = f"owner-{suffix}", f"other-{suffix}"
    gone = b"deleted,Eve,eve@example.com,active\n"
    earlier = [house.submit(owner, gone)]
    house.finish(owner, earlier[0])
    earlier.append(house.submit(owner, gone, actionType="BULK_DELETE"))
    house.finish(owner, earlier[1])
    action_id = house.submit(owner, b"1,Ada,ada@example.com,active\n2,Bob,nobody,active\n")
    house.finish(owner, action_id)
    waiting_id = house.submit(owner, b"9,Eve,eve@example.com,active\n", scheduledAt="2100-01-01T00:00:00Z")
    letter_id = f"{action_id}:0"
    house.add_letter(letter_id, accountId=owner, actionId=action_id, index=0)
    key_id = house.add_key(owner)
    return Neighbours(house, owner, other, action_id, waiting_id, letter_id, key_id, earlier)


def with_an_id() -> list[tuple[str, str]]:
    """Every method of every route that names one thing of an account; entities are everybody's."""
    return [
        (method, route.path.replace("{entity_type}", "Contact"))
        for route in ROUTES
        if "_id}" in route.path
        for declared in route.operations
        for method in ((declared, "HEAD") if declared == "GET" else (declared,))
    ]


def named(neighbours: Neighbours, path: str) -> list[str]:
    """The path for each thing of the owner."""
    if "record_id" in path:
        return [path.replace("{record_id}", key) for key in ("1", "deleted")]
    if "key_id" in path:
        return [path.replace("{key_id}", neighbours.key_id)]
    if "letter_id" in path:
        return [path.replace("{letter_id}", neighbours.letter_id)]
    return [path.replace("{action_id}", known) for known in (neighbours.action_id, neighbours.waiting_id)]


def without_id(answer: httpx.Response) -> tuple[int, dict[str, Any], set[str]]:
    """All that an answer says, apart from the id of the request."""
    body = {} if answer.request.method == "HEAD" else {**answer.json(), "requestId": ""}
    return answer.status_code, body, {name.lower() for name in answer.headers}


@pytest.mark.parametrize(("method", "path"), with_an_id())
def test_foreign_things_look_unknown(neighbours: Neighbours, method: str, path: str) -> None:
    """The things of another account are as unknown as those that never were."""
    never_was = neighbours.house.ask(neighbours.other, method, re.sub(r"\{\w+\}", UNKNOWN, path))
    assert never_was.status_code == 404
    for one in named(neighbours, path):
        assert without_id(neighbours.house.ask(neighbours.other, method, one)) == without_id(never_was)


@pytest.mark.parametrize(("method", "path"), [way for way in with_an_id() if way[0] in ("GET", "HEAD")])
def test_an_account_sees_its_own_things(neighbours: Neighbours, method: str, path: str) -> None:
    for one in named(neighbours, path):
        assert neighbours.house.ask(neighbours.owner, method, one).status_code == 200


@pytest.mark.parametrize(
    "path", [route.path for route in ROUTES if "{" not in route.path and "GET" in route.operations]
)
def test_lists_hide_other_accounts(neighbours: Neighbours, path: str) -> None:
    """Lists have nothing of another account."""
    shown = neighbours.house.get(neighbours.other, path).text
    things = (neighbours.action_id, neighbours.waiting_id, neighbours.key_id, "secret of an account", neighbours.owner)
    for thing in things:
        assert thing not in shown


def test_lists_have_own_things(neighbours: Neighbours) -> None:
    """Lists have what is the account's own."""
    house, owner = neighbours.house, neighbours.owner
    actions = [action["actionId"] for action in house.get(owner, "/bulk-actions").json()]
    assert actions == [neighbours.waiting_id, neighbours.action_id, *reversed(neighbours.earlier_ids)]
    assert [letter["id"] for letter in house.get(owner, "/dead-letters").json()] == [neighbours.letter_id]
    assert neighbours.key_id in {key["keyId"] for key in house.get(owner, "/api-keys").json()}


_KNOWN_PARAMETERS = {
    "/bulk-actions": {"status", "entityType", "limit"},
    "/dead-letters": {"status", "actionId", "limit"},
}


@pytest.mark.parametrize(
    "query",
    [
        {"accountId": "{owner}"},
        {"accountid": "{owner}"},
        {"account": "{owner}"},
        {"status": "COMPLETED"},
        {"entityType": "Contact"},
        {"entityType": "$ne"},
        {"actionId": "{action}"},
        {"actionId[$ne]": "x"},
        {"$where": "true"},
        {"accountId[$ne]": "x"},
        {"limit": "500"},
    ],
)
@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters"])
def test_queries_hide_other_accounts(neighbours: Neighbours, path: str, query: dict[str, str]) -> None:
    """No query shows the things of another account."""
    sent = {name: value.format(owner=neighbours.owner, action=neighbours.action_id) for name, value in query.items()}
    answer = neighbours.house.get(neighbours.other, path, **sent)
    if set(query) <= _KNOWN_PARAMETERS[path]:
        assert (answer.status_code, answer.json()) == (200, [])
    else:
        assert error_of(answer)[:2] == (400, "UNKNOWN_PARAMETER")
        assert neighbours.letter_id not in answer.text


@pytest.mark.parametrize("path", ["/bulk-actions", "/dead-letters"])
def test_foreign_cursor_gives_own_page(neighbours: Neighbours, path: str) -> None:
    """The next page of another account is a page of one's own."""
    cursor = base64.urlsafe_b64encode(b"2099-01-01T00:00:00Z/z").decode()
    assert neighbours.house.get(neighbours.owner, path, cursor=cursor).json() != []
    assert neighbours.house.get(neighbours.other, path, cursor=cursor).json() == []


def test_refused_replay_changes_nothing(neighbours: Neighbours) -> None:
    """A refused replay leaves the letter as it was."""
    house = neighbours.house
    before = house.get(neighbours.owner, "/dead-letters").json()
    answer = house.ask(neighbours.other, "POST", f"/dead-letters/{neighbours.letter_id}/replay")
    assert error_of(answer)[:2] == (404, "DEAD_LETTER_NOT_FOUND")
    assert house.get(neighbours.owner, "/dead-letters").json() == before


def test_accounts_share_no_records(neighbours: Neighbours) -> None:
    """Two accounts with the same ids have a record each."""
    house = neighbours.house
    rows = b"same,%s,same@example.com,active\n"
    for account in (neighbours.owner, neighbours.other):
        made = house.finish(account, house.submit(account, rows % account.encode()))
        assert (made["createdCount"], made["updatedCount"]) == (1, 0)
    with pymongo.MongoClient[dict[str, Any]](house.mongo_uri) as client:
        stored = client.get_default_database()["contacts"].find({"id": "same"})
        names = {contact["_id"]: contact["name"] for contact in stored}
    assert {f"{account}:same": account for account in (neighbours.owner, neighbours.other)}.items() <= names.items()


def test_ownerless_is_the_defaults(neighbours: Neighbours) -> None:
    """What belongs to nobody is shown to the default account alone."""
    house = neighbours.house
    house.add_letter(f"nobodys-{neighbours.owner}", kind="POISON")
    seen = {
        account: [letter["id"] for letter in house.get(account, "/dead-letters", limit="500").json()]
        for account in (neighbours.owner, "default")
    }
    assert f"nobodys-{neighbours.owner}" in seen["default"]
    assert f"nobodys-{neighbours.owner}" not in seen[neighbours.owner]


# The header of an open door

WRONG_ACCOUNTS: dict[str, list[bytes]] = {
    "empty": [b""],
    "too long": [b"x" * 65],
    "very long": [b"x" * 7000],
    "with a colon": [b"acme:1"],
    "with a slash": [b"acme/1"],
    "with a blank": [b"ac me"],
    "with a comma": [b"acme,other"],
    "with a tab": [b"ac\tme"],
    "a path": [b"../default"],
    "an operator of a query": [b"$ne"],
    "an object": [b'{"$ne": null}'],
    "quoted": [b'"acme"'],
    "not ASCII": ["ä".encode()],
    "not UTF-8": [b"\xff"],
    "digits of another script": ["٣".encode()],
    "a pattern": [b".*"],
    "twice": [b"acme", b"acme"],
    "two": [b"acme", b"other"],
}


@pytest.mark.parametrize("kind", WRONG_ACCOUNTS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/bulk-actions"), ("POST", "/bulk-actions"), ("GET", "/dead-letters")]
)
def test_bad_account_is_refused(worker: Worker, kind: str, method: str, path: str) -> None:
    """An account that is not valid is refused, and the message says why."""
    headers = [(b"accountid", value) for value in WRONG_ACCOUNTS[kind]]
    status, code, message = error_of(worker.client.request(method, path, headers=headers))
    assert (status, code) == (400, "INVALID_ACCOUNT")
    assert message.startswith("The header accountid must be")


@pytest.mark.parametrize("name", ["accountid", "AccountId", "ACCOUNTID"])
def test_account_header_ignores_case(worker: Worker, name: str) -> None:
    """The name of the header may be written in any case."""
    assert worker.client.get("/bulk-actions", headers={name: f"nobody-{name}"}).json() == []


def test_default_account(worker: Worker) -> None:
    """Without the header the account is the default one."""
    action_id = worker.submit(HEADER + b"1,Ada,ada@example.com,active\n", scheduledAt="2100-01-01T00:00:00Z")
    for headers, status in (({}, 200), ({"accountid": "default"}, 200), ({"accountid": "Default"}, 404)):
        assert worker.client.get(f"/bulk-actions/{action_id}", headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_has_no_account(worker: Worker, path: str) -> None:
    """Health and readiness belong to no account."""
    assert worker.client.get(path, headers={"accountid": "a:b"}).status_code == 200


# The header beside a credential


@pytest.mark.parametrize("account", ["owner", "default", "a:b", ""])
def test_credential_beats_header(guarded: Guarded, account: str) -> None:
    """Beside a credential the header changes nothing."""
    key = guarded.key("beside", Role.ADMIN)
    plain = guarded.worker.client.get("/bulk-actions", headers={"X-API-Key": key})
    answer = guarded.worker.client.get("/bulk-actions", headers={"X-API-Key": key, "accountid": account})
    assert (answer.status_code, answer.json()) == (plain.status_code, plain.json()) == (200, [])
