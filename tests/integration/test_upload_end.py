"""How an upload ends when the database breaks off: nothing lost, nothing twice, and no action without its file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from pymongo.errors import AutoReconnect, OperationFailure, ServerSelectionTimeoutError

from app.domain.access import Principal, Role
from app.domain.actions import Action
from tests.support.bench import Bench
from tests.support.files import CONTACTS
from tests.support.forms import REQUIRED
from tests.support.namespaces import storage_of
from web.upload.handler import receive

KEY = {"Idempotency-Key": "once"}


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def post(request: web.Request) -> web.Response:
        try:
            action, replayed = await receive(request, bench.context, Principal("acme", Role.OPERATOR, "test"))
        except Exception as error:  # as the middleware does
            return web.json_response({"error": str(error)}, status=getattr(error, "status", 503))
        return web.json_response({"id": action.id, "replayed": replayed}, status=201)

    application = web.Application()
    application.router.add_post("/", post)
    async with TestClient(TestServer(application)) as client:
        yield client


async def upload(client: TestClient[web.Request, web.Application]) -> tuple[int, dict[str, Any]]:
    form = FormData(REQUIRED)
    form.add_field("file", CONTACTS, filename="upload.csv")
    async with client.post("/", data=form, headers=KEY) as answer:
        return answer.status, await answer.json()


def stored(bench: Bench) -> set[str]:
    directory = storage_of({"STORAGE_URI": bench.settings.storage_uri})
    return {path.parent.name for path in directory.rglob("*/*") if path.is_file()}


async def test_lost_answer_is_found_by_its_key(
    bench: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the answer of the database is lost, the same key finds the action and its file."""
    add = bench.store.actions.add

    async def lose_the_answer(action: Action) -> Action:
        await add(action)
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store.actions, "add", lose_the_answer)
        assert (await upload(client))[0] == 503
    [made] = stored(bench)
    assert await upload(client) == (201, {"id": made, "replayed": True})
    assert stored(bench) == {made}


async def test_unreached_database_leaves_nothing(
    bench: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the database was never reached nothing stays, and the key is free."""

    async def not_there(action: dict[str, Any]) -> None:
        raise ServerSelectionTimeoutError("no server")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store.actions, "_journaled", Inserting(bench.database["bulk_operations"], not_there))
        assert (await upload(client))[0] == 503
    assert stored(bench) == set()
    status, made = await upload(client)
    assert (status, made["replayed"]) == (201, False)
    assert stored(bench) == {made["id"]}


LIMITED = {"max_active_actions": 5, "max_stored_bytes": 1_000_000}


@pytest.fixture
def limited(bench: Bench) -> Bench:
    """A bench on which the account has limits, so that its uploads are stored one after another."""
    bench.context = bench.platform_with(settings=bench.settings.model_copy(update=LIMITED))
    return bench


async def test_end_of_turn_keeps_the_file(
    limited: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a turn takes no file away.

    The action is stored, then the database goes away before the turn is given back.
    """

    async def away(*_: Any) -> None:
        raise ServerSelectionTimeoutError("no server")

    with monkeypatch.context() as patch:
        patch.setattr(limited.store.account_locks, "_collection", Failing(limited.database["admissions"], away))
        status, made = await upload(client)
    assert (status, made["replayed"]) == (201, False)
    assert stored(limited) == {made["id"]}


@pytest.mark.parametrize(
    "error", [AutoReconnect("closed"), OperationFailure("stepped down", 189), TimeoutError(), ValueError("a fault")]
)
async def test_later_failure_keeps_the_file(
    limited: Bench,
    client: TestClient[web.Request, web.Application],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """What fails behind the insert takes no file away.

    Whatever it is: only an insert that is known not to have happened gives the file up.
    """
    add = limited.store.actions.add

    async def add_and_fail(action: Action) -> Action:
        await add(action)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(limited.store.actions, "add", add_and_fail)
        assert (await upload(client))[0] >= 500
    [action] = [found async for found in limited.database["bulk_operations"].find()]
    assert stored(limited) == {action["_id"]}


async def test_refused_upload_keeps_no_file(
    limited: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without room keeps no file."""

    async def away(*_: Any) -> int:
        raise AutoReconnect("closed before anything was inserted")

    with monkeypatch.context() as patch:
        patch.setattr(limited.store.actions, "stored_bytes", away)
        assert (await upload(client))[0] == 503
    assert stored(limited) == set()


class Failing:
    """A collection whose deletions fail."""

    def __init__(self, collection: Any, delete_one: Any) -> None:
        self.insert_one, self.find_one, self.delete_one = collection.insert_one, collection.find_one, delete_one


class Inserting:
    """A collection whose insertions fail."""

    def __init__(self, collection: Any, insert_one: Any) -> None:
        self.insert_one, self.find_one = insert_one, collection.find_one
