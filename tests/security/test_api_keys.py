"""Who one is, and the keys of an account by the API: for its admins alone, told once, and gone when revoked."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import httpx
import pymongo
import pytest

from app.domain.access import Role
from app.domain.api_keys import fingerprint, is_key, new_key
from app.settings import Settings
from tests.support.assertions import error_of
from tests.support.issuer import token
from tests.support.logs import lines_of
from tests.support.secured import Guarded
from tests.support.waiting import wait_for
from tests.support.workers import Worker

SHOWN = ["keyId", "name", "role", "state", "createdAt", "createdBy", "expiresAt", "revokedAt", "revokedBy"]


def id_of(key: str) -> str:
    return fingerprint(key)[:16]


class Admin:
    """An admin of an account that nobody has used."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded, self.account = guarded, f"keys-{uuid.uuid4().hex[:12]}"
        self.key = guarded.key(self.account, Role.ADMIN, created_at=datetime.now(UTC) - timedelta(minutes=1))

    def ask(self, method: str, path: str, key: str | None = None, **sent: Any) -> httpx.Response:
        headers = {"X-API-Key": key or self.key, **sent.pop("headers", {})}
        return self.guarded.worker.client.request(method, path, headers=headers, **sent)

    def make(self, **order: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/api-keys", json={"role": "viewer", **order})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def listed(self, **query: str) -> list[dict[str, Any]]:
        answer = self.ask("GET", "/api-keys", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json())


@pytest.fixture
def admin(guarded: Guarded) -> Admin:
    return Admin(guarded)


# Who one is


@pytest.mark.parametrize("role", Role)
def test_key_is_told_who_it_is(guarded: Guarded, role: Role) -> None:
    """Account, role and id of the key, the version, and what this worker takes."""
    key = guarded.key("who", role)
    told = guarded.worker.client.get("/whoami", headers={"X-API-Key": key}).json()
    limits, settings = told.pop("limits"), Settings(_env_file=None)
    assert told == {
        "accountId": "who",
        "role": role,
        "credential": f"key {id_of(key)}",
        "keyId": id_of(key),
        "authMode": "required",
        "version": version("bulk-operations"),
    }
    assert limits["maxUploadBytes"] == settings.max_upload_bytes
    assert (limits["retentionDays"], limits["windowSeconds"]) == (None, 60)
    for limit, name in (("scheduleMaxDays", "SCHEDULE_MAX_DAYS"), ("uploadsPerWindow", "RATE_LIMIT_MAX")):
        assert limits[limit] == int(guarded.environment[name])
    assert (limits["maxActiveActions"], limits["maxApiKeys"]) == (None, 100)


def test_token_is_told_who_it_is(guarded: Guarded) -> None:
    """It is no key, and has no id of one."""
    headers = {"Authorization": f"Bearer {token(sub='ada', account='who', role='operator')}"}
    told = guarded.worker.client.get("/whoami", headers=headers).json()
    assert (told["credential"], told["keyId"], told["role"]) == ("token of 'ada'", None, "operator")


def test_limits_are_the_accounts(guarded: Guarded) -> None:
    """Those of its tier, not of everybody."""
    key = guarded.key("globex", Role.VIEWER)
    assert guarded.worker.client.get("/whoami", headers={"X-API-Key": key}).json()["limits"]["uploadsPerWindow"] == 5
    assert guarded.worker.client.get("/whoami?account=x", headers={"X-API-Key": key}).status_code == 400


def test_stranger_is_offered_the_schemes(guarded: Guarded) -> None:
    answer = guarded.worker.client.get("/whoami")
    assert error_of(answer)[:2] == (401, "CREDENTIAL_REQUIRED")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="bulk-operations", ApiKey realm="bulk-operations"'


@pytest.mark.parametrize(("headers", "account"), [({}, "default"), ({"accountid": "a"}, "a")])
def test_open_api_tells_of_no_credential(worker: Worker, headers: dict[str, str], account: str) -> None:
    """Everybody is an admin; who names no account is not counted, and has no limit of requests."""
    told = worker.client.get("/whoami", headers=headers).json()
    limits = told["limits"]
    assert (told["accountId"], told["role"], told["authMode"]) == (account, "admin", "none")
    assert (told["credential"], told["keyId"]) == (None, None)
    assert (limits["uploadsPerWindow"] is None) == (limits["requestsPerWindow"] is None) == (not headers)
    assert limits["maxUploadBytes"] == 2_000_000


# Making keys


def test_made_key_opens_its_account(admin: Admin) -> None:
    """It is told once, in no cache, and acts for the account with its role, until it expires."""
    answer = admin.ask("POST", "/api-keys", json={"role": "operator", "name": "ä nightly", "expires": "90d"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.json()
    assert list(made) == [*SHOWN, "key"]
    key = made.pop("key")
    assert is_key(key)
    assert (made["keyId"], made["name"], made["role"], made["state"]) == (id_of(key), "ä nightly", "operator", "active")
    assert made["createdBy"] == f"key {id_of(admin.key)}"
    lives = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert timedelta(days=89.9) < lives <= timedelta(days=90)
    told = admin.ask("GET", "/whoami", key).json()
    assert (told["accountId"], told["role"], told["keyId"]) == (admin.account, "operator", made["keyId"])
    first, second = admin.listed()
    assert first == made
    assert (second["keyId"], second["createdBy"]) == (id_of(admin.key), None)


def test_key_needs_its_role_alone(admin: Admin) -> None:
    """Without more it has no name, and does not expire."""
    made = admin.make()
    assert (made["name"], made["expiresAt"], made["revokedAt"], made["revokedBy"]) == ("", None, None, None)
    until = admin.make(expires="2100-01-31T09:00:00+02:00", name="x" * 100)
    assert (until["expiresAt"], len(until["name"])) == ("2100-01-31T07:00:00.000Z", 100)


def test_token_of_an_admin_makes_keys(guarded: Guarded, admin: Admin) -> None:
    headers = {"Authorization": f"Bearer {token(sub='ada', account=admin.account, role='admin')}"}
    answer = guarded.worker.client.post("/api-keys", json={"role": "admin"}, headers=headers)
    assert (answer.status_code, answer.json()["createdBy"]) == (201, "token of 'ada'")


WRONG: dict[str, tuple[Any, str]] = {
    "no role": ({}, "INVALID_ROLE"),
    "no such role": ({"role": "root"}, "INVALID_ROLE"),
    "a role in capitals": ({"role": "ADMIN"}, "INVALID_ROLE"),
    "several roles": ({"role": ["viewer", "admin"]}, "INVALID_ROLE"),
    "no text for a role": ({"role": None}, "INVALID_ROLE"),
    "a name that is too long": ({"role": "viewer", "name": "x" * 101}, "INVALID_KEY_NAME"),
    "a name of two lines": ({"role": "viewer", "name": "a\nb"}, "INVALID_KEY_NAME"),
    "a name for a terminal": ({"role": "viewer", "name": "\x1b[2Jgone"}, "INVALID_KEY_NAME"),
    "a name that turns the text": ({"role": "viewer", "name": "a\u202eb"}, "INVALID_KEY_NAME"),
    "a name with a nul": ({"role": "viewer", "name": "a\0"}, "INVALID_KEY_NAME"),
    "a name of another type": ({"role": "viewer", "name": {"$ne": None}}, "INVALID_KEY_NAME"),
    "no expiry": ({"role": "viewer", "expires": "soon"}, "INVALID_EXPIRY"),
    "an expiry that is past": ({"role": "viewer", "expires": "2020-01-01"}, "INVALID_EXPIRY"),
    "an expiry beyond all calendars": ({"role": "viewer", "expires": "9999-12-31T23:59:59-23:59"}, "INVALID_EXPIRY"),
    "a long expiry": ({"role": "viewer", "expires": "9" * 50_000}, "INVALID_EXPIRY"),
    "a number of days": ({"role": "viewer", "expires": 90}, "INVALID_EXPIRY"),
    "a key of one's own": ({"role": "viewer", "key": "bulk_" + "x" * 43}, "UNKNOWN_FIELD"),
    "another account": ({"role": "viewer", "accountId": "other"}, "UNKNOWN_FIELD"),
    "a list": ([], "INVALID_BODY"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_order_makes_no_key(admin: Admin, kind: str) -> None:
    """What is wrong is named in a few words, and no key is made."""
    order, code = WRONG[kind]
    status, found, message = error_of(admin.ask("POST", "/api-keys", json=order))
    assert (status, found) == (400, code)
    assert message.isprintable()
    assert len(message) < 300
    assert [key["keyId"] for key in admin.listed()] == [id_of(admin.key)]


def test_hostile_name_is_shown_as_it_is(admin: Admin) -> None:
    """Escaping it is for whoever makes a page of it."""
    name = '<img src=x onerror="alert(1)"> {"$ne": null} \N{PILE OF POO}'
    admin.make(name=name)
    assert admin.listed()[0]["name"] == name


def test_active_keys_are_limited(guarded: Guarded, admin: Admin) -> None:
    """Revoked and expired ones do not count; one that is revoked makes room."""
    for number in range(99):
        guarded.key(admin.account, Role.VIEWER, name=f"n{number}")
    guarded.key(admin.account, Role.VIEWER, revoked_at=datetime.now(UTC))
    guarded.key(admin.account, Role.VIEWER, expires_at=datetime.now(UTC))
    status, code, message = error_of(admin.ask("POST", "/api-keys", json={"role": "viewer"}))
    assert (status, code) == (409, "TOO_MANY_API_KEYS")
    assert "100 active API keys" in message
    events = wait_for(lambda: admin.ask("GET", "/search?type=limit.hit").json()["events"], "the event of the limit")
    assert [event["code"] for event in events] == ["TOO_MANY_API_KEYS"]
    assert admin.ask("DELETE", f"/api-keys/{admin.listed(limit='1')[0]['keyId']}").status_code == 200
    assert admin.ask("DELETE", f"/api-keys/{admin.listed(state='active', limit='1')[0]['keyId']}").status_code == 200
    admin.make()
    assert error_of(admin.ask("POST", "/api-keys", json={"role": "viewer"}))[1] == "TOO_MANY_API_KEYS"


# Listing keys


def test_keys_are_listed_by_state(guarded: Guarded, admin: Admin) -> None:
    now = datetime.now(UTC)
    expired = guarded.key(admin.account, Role.VIEWER, expires_at=now)
    revoked = guarded.key(admin.account, Role.VIEWER, revoked_at=now)
    both = guarded.key(admin.account, Role.VIEWER, expires_at=now, revoked_at=now)
    later = guarded.key(admin.account, Role.VIEWER, expires_at=now + timedelta(days=1))
    wanted = {"active": {admin.key, later}, "expired": {expired}, "Revoked": {revoked, both}}
    for state, keys in wanted.items():
        listed = admin.listed(state=state)
        assert {key["keyId"] for key in listed} == {id_of(key) for key in keys}
        assert {key["state"] for key in listed} == {state.lower()}
    assert len(admin.listed()) == len(admin.listed(state="")) == 5
    assert error_of(admin.ask("GET", "/api-keys?state=lost"))[:2] == (400, "INVALID_STATE")


def test_keys_have_pages(guarded: Guarded, admin: Admin) -> None:
    """Each key is on one page, also those that were made at the same time; no address has more of it than its id."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = [guarded.key(admin.account, Role.VIEWER, created_at=at) for _ in range(4)]
    listed, path = [], "/api-keys?limit=2&state=active"
    while path:
        answer = admin.ask("GET", path)
        listed += [key["keyId"] for key in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert listed == [id_of(admin.key), *sorted((id_of(key) for key in made), reverse=True)]
    assert error_of(admin.ask("GET", "/api-keys?cursor=x"))[:2] == (400, "INVALID_CURSOR")
    assert error_of(admin.ask("GET", "/api-keys?limit=501"))[:2] == (400, "INVALID_LIMIT")


# Revoking keys


def test_revoked_key_stops_at_once(admin: Admin) -> None:
    """At the worker that revokes it, although it has just used it; to ask again is answered alike."""
    made = admin.make()
    assert admin.ask("GET", "/whoami", made["key"]).status_code == 200
    answer = admin.ask("DELETE", f"/api-keys/{made['keyId']}")
    assert error_of(admin.ask("GET", "/whoami", made["key"]))[:2] == (401, "INVALID_CREDENTIAL")
    told = answer.json()
    assert (answer.status_code, list(told), told["state"]) == (200, SHOWN, "revoked")
    assert told["revokedBy"] == f"key {id_of(admin.key)}"
    assert admin.ask("DELETE", f"/api-keys/{made['keyId']}").json() == told
    assert admin.listed()[0] == told


def test_key_revokes_itself(admin: Admin) -> None:
    """It is the last that it does."""
    assert admin.ask("DELETE", f"/api-keys/{id_of(admin.key)}").json()["state"] == "revoked"
    assert error_of(admin.ask("GET", "/api-keys"))[:2] == (401, "INVALID_CREDENTIAL")


ODD: dict[str, Callable[[str], str]] = {
    "a key that never was": lambda key: "0" * 16,
    "the key itself": lambda key: key,
    "its fingerprint": fingerprint,
    "the beginning of its id": lambda key: id_of(key)[:15],
    "its id in capitals": lambda key: id_of(key).upper(),
    "its id and more": lambda key: id_of(key) + "0",
    "a range": lambda key: "0" * 15 + "g",
    "an operator of a query": lambda key: "%24ne",
    "a nul": lambda key: "%00" * 16,
    "not UTF-8": lambda key: "%ff" * 16,
}


@pytest.mark.parametrize("kind", ODD)
def test_only_an_id_names_a_key(guarded: Guarded, kind: str) -> None:
    """Anything else is not found, and revokes nothing."""
    admin = Admin(guarded)
    # An id of digits alone has no capitals.
    while id_of(admin.key).isdigit():
        admin = Admin(guarded)
    answer = admin.ask("DELETE", f"/api-keys/{ODD[kind](admin.key)}")
    assert error_of(answer)[:2] == (404, "API_KEY_NOT_FOUND")
    assert [key["state"] for key in admin.listed()] == ["active"]


def test_foreign_key_is_not_revoked(guarded: Guarded, admin: Admin) -> None:
    """It looks unknown, works on, and is in no list."""
    other = Admin(guarded)
    foreign = admin.ask("DELETE", f"/api-keys/{id_of(other.key)}")
    unknown = admin.ask("DELETE", f"/api-keys/{'0' * 16}")
    assert error_of(foreign) == error_of(unknown) == (404, "API_KEY_NOT_FOUND", "API key not found")
    assert [key["state"] for key in other.listed()] == ["active"]
    assert id_of(other.key) not in str(admin.listed())


# What is told of it elsewhere


def test_keys_are_told_without_themselves(guarded: Guarded, admin: Admin) -> None:
    """Log, audit log, events and database have the id of a key, who made and revoked it, and never the key."""
    request = uuid.uuid4().hex
    order = {"role": "operator", "name": "nightly", "expires": "2100-01-31"}
    made = admin.ask("POST", "/api-keys", json=order, headers={"X-Request-ID": f"{request}-1"}).json()
    for number in ("2", "3"):
        admin.ask("DELETE", f"/api-keys/{made['keyId']}", headers={"X-Request-ID": f"{request}-{number}"})
    # A key in place of its id, by somebody who has mixed them up.
    mixed_up = new_key()
    admin.ask("DELETE", f"/api-keys/{mixed_up}", headers={"X-Request-ID": f"{request}-4"})

    def lines(number: int) -> list[dict[str, Any]]:
        return [line for line in lines_of(guarded.worker.log) if line.get("request") == f"{request}-{number}"]

    wait_for(lambda: any(line["event"] == "request" for line in lines(4)), "the line of the last request")
    [line] = [line for line in lines(1) if line["event"] == "audit"]
    assert (line["operation"], line["result"], line["key"]) == ("createApiKey", "done", made["keyId"])
    assert (line["role"], line["granted"], line["name"]) == ("admin", "operator", "nightly")
    assert (line["account"], line["expires"]) == (admin.account, "2100-01-31T00:00:00.000Z")
    for number in (2, 3):
        [line] = [line for line in lines(number) if line["event"] == "audit"]
        assert (line["operation"], line["result"], line["key"]) == ("revokeApiKey", "done", made["keyId"])

    def told() -> list[dict[str, Any]]:
        return list(admin.ask("GET", "/search").json()["events"])

    events = wait_for(lambda: found if len(found := told()) == 2 else None, "both events")
    actor = f"key {id_of(admin.key)}"
    assert [(event["type"], event["code"], event["actor"], event["count"]) for event in events] == [
        ("key.revoked", made["keyId"], actor, 1),
        ("key.made", made["keyId"], actor, 1),
    ]
    with pymongo.MongoClient[dict[str, Any]](guarded.environment["MONGO_DB_URI"]) as client:
        database = client.get_default_database()
        stored = json.dumps([list(database[name].find()) for name in ("api_keys", "events")], default=str)
    assert made["keyId"] in stored
    everything = stored + guarded.worker.log.read_text(errors="replace") + str(events) + str(admin.listed())
    for secret in (made["key"], made["key"][5:], mixed_up[5:], fingerprint(made["key"])):
        assert secret not in everything.replace(f'"_id": "{fingerprint(made["key"])}"', "")


# An open API


def test_open_api_makes_no_key(worker: Worker, shared_environment: dict[str, str]) -> None:
    """It would outlive the time in which everybody is an admin; what there is is shown, and can be revoked."""
    account = {"accountid": f"open-{uuid.uuid4().hex[:12]}"}
    answer = worker.client.post("/api-keys", json={"role": "admin"}, headers=account)
    assert error_of(answer)[:2] == (409, "API_IS_OPEN")
    assert worker.client.get("/api-keys", headers=account).json() == []
    key = Guarded(worker, shared_environment).key(account["accountid"], Role.VIEWER)
    other = worker.client.delete(f"/api-keys/{id_of(key)}", headers={"accountid": "somebody-else"})
    assert error_of(other)[:2] == (404, "API_KEY_NOT_FOUND")
    told = worker.client.delete(f"/api-keys/{id_of(key)}", headers=account).json()
    assert (told["state"], told["revokedBy"]) == ("revoked", "nobody in particular")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_page_of_others_changes_no_key(guarded: Guarded, admin: Admin, site: str) -> None:
    """Even if it has a key."""
    for method, path in (("POST", "/api-keys"), ("DELETE", f"/api-keys/{id_of(admin.key)}")):
        answer = admin.ask(method, path, headers={"Sec-Fetch-Site": site}, json={"role": "admin"})
        assert error_of(answer)[:2] == (403, "CROSS_SITE")
