"""API keys in the database: stored as hashes, remembered for seconds, and handled by commands."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pymongo
import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.adapters.authentication import ApiKeyCache
from app.adapters.mongo import Store
from app.cli.commands import cli
from app.domain.access import Role
from app.domain.api_keys import ApiKey, KeyState, fingerprint, is_key, new_key
from app.domain.faults import Conflict
from app.observability.audit import close_audit_log
from app.services.api_keys import NoSuchKey, TooManyKeys, make_key, revoke_key
from app.settings import Settings
from tests.support.logs import lines_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.mongo_db_uri.get_secret_value())
    await store.prepare()
    yield store
    await store.close()


def made(secret: str, **changes: Any) -> ApiKey:
    values = {"account_id": "acme", "role": Role.OPERATOR, "name": "nightly", "created_at": NOW, **changes}
    return ApiKey(fingerprint(secret), **values)


async def test_key_round_trip(store: Store) -> None:
    """A key comes back as it was stored."""
    key = made(new_key(), expires_at=NOW + timedelta(days=1))
    await store.api_keys.add(key)
    assert await store.api_keys.get(key.fingerprint) == key
    assert await store.api_keys.get(fingerprint(new_key())) is None


async def test_no_two_keys_are_the_same(store: Store) -> None:
    key = made(new_key())
    await store.api_keys.add(key)
    with pytest.raises(Conflict):
        await store.api_keys.add(key)


async def test_key_is_revoked_once(store: Store) -> None:
    """A key is revoked once, and stays so."""
    key = made(new_key())
    await store.api_keys.add(key)
    assert await store.api_keys.revoke(key.fingerprint)
    revoked = await store.api_keys.get(key.fingerprint)
    assert revoked
    assert revoked.state(datetime.now(UTC)) == KeyState.REVOKED
    assert not await store.api_keys.revoke(key.fingerprint)
    assert await store.api_keys.get(key.fingerprint) == revoked
    assert not await store.api_keys.revoke(fingerprint(new_key()))


async def test_keys_are_listed_oldest_first(store: Store) -> None:
    """All of them, or those of an account."""
    keys = [made(new_key(), created_at=NOW + timedelta(hours=hours)) for hours in (2, 0, 1)]
    keys.append(made(new_key(), account_id="other", created_at=NOW))
    for key in keys:
        await store.api_keys.add(key)
    assert await store.api_keys.all("acme") == [keys[1], keys[2], keys[0]]
    assert len(await store.api_keys.all()) == 4


async def test_key_is_found_by_its_id(store: Store) -> None:
    """By the whole id, and by nothing that only resembles it."""
    digests = [beginning + "0" * 48 for beginning in ("f" * 16, "f" * 15 + "e", "0" * 16)]
    for digest in digests:
        await store.api_keys.add(replace(made("x"), fingerprint=digest))
    for digest in digests:
        found = await store.api_keys.find(digest[:16])
        assert found
        assert found.fingerprint == digest
    for other in ("f" * 15 + "d", "f" * 15, "f" * 17, "F" * 16, "", digests[0], "$ne", "\0" * 16):
        assert await store.api_keys.find(other) is None


async def test_states_are_those_of_the_keys(store: Store) -> None:
    """What the database takes for active, expired and revoked is what a key says of itself."""
    now = datetime.now(UTC)
    ends = [None, now - timedelta(seconds=1), now + timedelta(days=1)]
    for expires_at in ends:
        for revoked_at in ends[:2]:
            await store.api_keys.add(made(new_key(), expires_at=expires_at, revoked_at=revoked_at))
    keys = await store.api_keys.all()
    for state, count in ((KeyState.ACTIVE, 2), (KeyState.EXPIRED, 1), (KeyState.REVOKED, 3)):
        page = await store.api_keys.page("acme", 10, state=state)
        assert {key.id for key in page} == {key.id for key in keys if key.state(now) == state}
        assert len(page) == count
    assert await store.api_keys.has_active("acme", 2)
    assert not await store.api_keys.has_active("acme", 3)
    assert not await store.api_keys.has_active("other", 1)


async def test_limit_holds_for_a_crowd(store: Store) -> None:
    """Of many who make keys of an account at the same time as many get one as there is room for."""

    async def make() -> bool:
        try:
            await make_key(store, "acme", Role.VIEWER, name="", expires_at=None, by="me", most=3)
        except TooManyKeys:
            return False
        return True

    assert sum(await asyncio.gather(*(make() for _ in range(10)))) == 3
    assert len(await store.api_keys.all()) == 3
    other = await make_key(store, "other", Role.VIEWER, name="", expires_at=None, by="me", most=1)
    assert (other.key.created_by, is_key(other.secret)) == ("me", True)
    assert other.secret not in repr(other)


async def test_one_of_many_revokes_a_key(store: Store) -> None:
    """Whoever comes later is told who did, and changes nothing."""
    key = (await make_key(store, "acme", Role.VIEWER, name="", expires_at=None, by="me", most=3)).key
    for account_id in ("other", ""):
        with pytest.raises(NoSuchKey):
            await revoke_key(store, key.id, by="me", account_id=account_id)
    calls = (revoke_key(store, key.id, by=f"by {number}", account_id="acme") for number in range(5))
    revocations = await asyncio.gather(*calls)
    assert sum(revocation.new for revocation in revocations) == 1
    [first] = [number for number, revocation in enumerate(revocations) if revocation.new]
    assert {revocation.key.revoked_by for revocation in revocations} == {f"by {first}"}


async def test_keys_of_older_versions(settings: Settings, store: Store) -> None:
    """Nobody knows who made them; the rest is known as before."""
    with pymongo.MongoClient[dict[str, Any]](settings.mongo_db_uri.get_secret_value()) as client:
        older = {"_id": "a" * 64, "accountId": "acme", "role": "viewer", "name": "", "createdAt": NOW}
        client.get_default_database()["api_keys"].insert_one({**older, "expiresAt": None, "revokedAt": None})
    key = await store.api_keys.find("a" * 16)
    assert key
    assert (key.created_by, key.revoked_by, key.revoked_at) == (None, None, None)
    assert [found.id for found in await store.api_keys.page("acme", 10, state=KeyState.ACTIVE)] == [key.id]


async def test_key_is_cached_for_its_lifetime(store: Store) -> None:
    """A key is remembered for its lifetime, and not longer."""
    now = 100.0
    recent = ApiKeyCache(store.api_keys, lifetime=5, clock=lambda: now)
    key = made(new_key())
    await store.api_keys.add(key)
    assert await recent.get(key.fingerprint) == key
    await store.api_keys.revoke(key.fingerprint)
    now += 4.9
    assert await recent.get(key.fingerprint) == key
    now += 0.1
    found = await recent.get(key.fingerprint)
    assert found
    assert found.revoked_at


async def test_forgotten_key_is_looked_up(store: Store) -> None:
    """Also if it was being read in the moment in which it was forgotten, as it was before."""
    recent = ApiKeyCache(store.api_keys, lifetime=60)
    key = made(new_key())
    await store.api_keys.add(key)
    assert await recent.get(key.fingerprint) == key
    await store.api_keys.revoke(key.fingerprint)
    assert await recent.get(key.fingerprint) == key
    recent.forget(key.fingerprint)
    found = await recent.get(key.fingerprint)
    assert found
    assert found.revoked_at

    async def read_slowly(name: str) -> ApiKey:
        reads.append(name)
        slow.forget(name)
        return key

    reads: list[str] = []
    slow = ApiKeyCache(cast(Any, SimpleNamespace(get=read_slowly)), lifetime=60)
    for times in (1, 2):
        await slow.get(key.fingerprint)
        assert len(reads) == times


async def test_zero_lifetime_caches_nothing(store: Store) -> None:
    """With a lifetime of zero nothing is remembered."""
    recent = ApiKeyCache(store.api_keys, lifetime=0)
    key = made(new_key())
    await store.api_keys.add(key)
    assert await recent.get(key.fingerprint) == key
    await store.api_keys.revoke(key.fingerprint)
    found = await recent.get(key.fingerprint)
    assert found
    assert found.revoked_at


async def test_unknown_keys_are_not_cached(store: Store) -> None:
    """A key that was unknown works as soon as it is made."""
    recent = ApiKeyCache(store.api_keys, lifetime=60)
    key = made(new_key())
    assert await recent.get(key.fingerprint) is None
    await store.api_keys.add(key)
    assert await recent.get(key.fingerprint) == key


# The commands


@pytest.fixture(autouse=True)
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the commands leave what they have done."""
    monkeypatch.setenv("AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    yield tmp_path / "audit.jsonl"
    close_audit_log()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments])


def create(*arguments: str) -> str:
    result = run("create", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def listed(*arguments: str) -> list[list[str]]:
    return [line.split("\t") for line in run("list", *arguments).stdout.splitlines()]


def test_key_is_shown_once(settings: Settings) -> None:
    """A key is shown once alone, and kept as its hash."""
    result = run("create", "--account", "acme", "--role", "operator", "--name", "nightly")
    key = result.stdout.removesuffix("\n")
    assert is_key(key)
    assert re.fullmatch(r"key [0-9a-f]{16}: operator of acme, until it is revoked; .*once:\n", result.stderr)
    assert key not in run("list").output
    with pymongo.MongoClient[dict[str, Any]](settings.mongo_db_uri.get_secret_value()) as client:
        [stored] = client.get_default_database()["api_keys"].find()
    assert stored["_id"] == fingerprint(key)
    assert key not in repr(stored)


def test_list_describes_each_key(settings: Settings) -> None:
    """The list shows what is known of each key."""
    create("--account", "acme", "--role", "viewer", "--name", "two  words\tand\x1b more")
    key = create("--account", "other", "--role", "admin", "--expires", "2100-01-31")
    first, second = listed()
    assert first[1:4] == ["active", "acme", "viewer"]
    assert first[5:] == ["-", "two  wordsand more"]
    assert second == [fingerprint(key)[:16], "active", "other", "admin", second[4], "2100-01-31T00:00:00.000Z", ""]
    assert listed("--account", "other") == [second]


def test_a_revoked_key_is_shown_as_that(settings: Settings) -> None:
    key_id = fingerprint(create("--account", "acme", "--role", "viewer"))[:16]
    result = run("revoke", key_id)
    assert (result.exit_code, result.stdout.split(";")[0]) == (0, f"key {key_id} is revoked")
    assert [line[:2] for line in listed()] == [[key_id, "revoked"]]
    again = run("revoke", key_id)
    assert (again.exit_code, again.stderr) == (0, f"key {key_id} was revoked before\n")


def test_each_change_of_a_key_is_audited(settings: Settings, audited: Path) -> None:
    """Who has made and revoked which key, on which machine; and no key."""
    key = create("--account", "acme", "--role", "viewer")
    key_id = fingerprint(key)[:16]
    run("list")
    run("revoke", key_id)
    run("revoke", "unknown")
    told = lines_of(audited)
    assert [(line["operation"], line["result"], line["key"]) for line in told] == [
        ("keys create", "done", key_id),
        ("keys revoke", "done", key_id),
        ("keys revoke", "refused", "unknown"),
    ]
    assert {(line["by"], line["source"]) for line in told} == {(getpass.getuser(), socket.gethostname())}
    assert key not in audited.read_text()


def test_each_change_of_a_key_is_an_event(settings: Settings) -> None:
    """Of its account, with the id of the key, by whoever has given the command."""
    key_id = fingerprint(create("--account", "acme", "--role", "viewer"))[:16]
    run("revoke", key_id)
    with pymongo.MongoClient[dict[str, Any]](settings.mongo_db_uri.get_secret_value()) as client:
        stored = list(client.get_default_database()["events"].find({"accountId": "acme"}).sort("type"))
    told = [(event["type"], event["code"], event["actor"]) for event in stored]
    assert told == [("key.made", key_id, getpass.getuser()), ("key.revoked", key_id, getpass.getuser())]
    assert all(event["expireAt"] > event["@timestamp"] for event in stored)


def test_commands_audit_to_standard_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file is named for it."""
    monkeypatch.setenv("AUDIT_LOG", "")
    result = run("create", "--account", "acme", "--role", "viewer")
    [line] = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    assert (line["operation"], line["account"]) == ("keys create", "acme")
    assert is_key(result.stdout.strip())


def test_command_keeps_to_the_limit(settings: Settings, audited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the API does; a key that is revoked makes room."""
    monkeypatch.setenv("MAX_API_KEYS_PER_ACCOUNT", "1")
    key_id = fingerprint(create("--account", "acme", "--role", "viewer"))[:16]
    result = run("create", "--account", "acme", "--role", "viewer")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "MAX_API_KEYS_PER_ACCOUNT" in result.output
    assert [line["result"] for line in lines_of(audited)] == ["done", "refused"]
    create("--account", "other", "--role", "viewer")
    run("revoke", key_id)
    create("--account", "acme", "--role", "viewer")


def test_command_notes_who_gave_it(settings: Settings) -> None:
    """In the key itself, as the API does."""
    key_id = fingerprint(create("--account", "acme", "--role", "viewer"))[:16]
    run("revoke", key_id)
    with pymongo.MongoClient[dict[str, Any]](settings.mongo_db_uri.get_secret_value()) as client:
        [stored] = client.get_default_database()["api_keys"].find()
    assert (stored["createdBy"], stored["revokedBy"]) == (getpass.getuser(), getpass.getuser())


@pytest.mark.parametrize("key_id", ["0" * 16, "", "f", "$ne"])
def test_unknown_key_cannot_be_revoked(settings: Settings, key_id: str) -> None:
    """A key that is not there cannot be revoked."""
    create("--account", "acme", "--role", "viewer")
    result = run("revoke", key_id)
    assert (result.exit_code, result.stderr) == (1, f"there is no key {key_id}\n")
    assert [line[1] for line in listed()] == ["active"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--account", "a:b", "--role", "viewer"], "--account"),
        (["--account", "", "--role", "viewer"], "--account"),
        (["--account", "acme", "--role", "root"], "--role"),
        (["--account", "acme"], "--role"),
        (["--role", "viewer"], "--account"),
        (["--account", "acme", "--role", "viewer", "--expires", "soon"], "--expires"),
        (["--account", "acme", "--role", "viewer", "--expires", "2020-01-01"], "--expires"),
        (["--account", "acme", "--role", "viewer", "--expires", ""], "--expires"),
    ],
)
def test_wrong_option_makes_no_key(settings: Settings, arguments: list[str], named: str) -> None:
    """A wrong option is named, and no key is made."""
    result = run("create", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert result.stdout == ""
    assert listed() == []


def test_absent_database_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away is one line."""
    monkeypatch.setenv("MONGO_DB_URI", "mongodb://127.0.0.1:1/none?serverSelectionTimeoutMS=100")
    result = run("list")
    assert result.exit_code == 1
    assert "database cannot be reached" in result.output
