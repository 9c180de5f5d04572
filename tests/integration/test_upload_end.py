"""How an upload ends when the database breaks off: nothing lost, nothing twice, and no action without its file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError

from tests.integration.conftest import Bench
from web.errors import ApiError
from web.uploads import receive

KEY = {"Idempotency-Key": "once"}


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def post(request: web.Request) -> web.Response:
        try:
            action, replayed = await receive(request, bench.platform, "acme")
        except (ApiError, PyMongoError) as error:
            return web.json_response({"error": str(error)}, status=getattr(error, "status", 503))
        return web.json_response({"id": action["_id"], "replayed": replayed}, status=201)

    application = web.Application()
    application.router.add_post("/", post)
    async with TestClient(TestServer(application)) as client:
        yield client


async def upload(client: TestClient[web.Request, web.Application]) -> tuple[int, dict[str, Any]]:
    form = FormData({"actionType": "BULK_UPDATE", "entityType": "Contact"})
    form.add_field("file", b"id,name,email,status\n1,Ada,ada@example.com,active\n", filename="upload.csv")
    async with client.post("/", data=form, headers=KEY) as answer:
        return answer.status, await answer.json()


def stored(bench: Bench) -> set[str]:
    directory = Path(unquote(urlsplit(bench.settings.storage_uri).path))
    return {path.parent.name for path in directory.rglob("*/*") if path.is_file()}


async def test_when_the_answer_of_the_database_is_lost_the_same_key_finds_the_action_and_its_file(
    bench: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = bench.store.actions.add

    async def lose_the_answer(action: dict[str, Any]) -> dict[str, Any]:
        await add(action)
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store.actions, "add", lose_the_answer)
        assert (await upload(client))[0] == 503
    [made] = stored(bench)
    assert await upload(client) == (201, {"id": made, "replayed": True})
    assert stored(bench) == {made}


async def test_when_the_database_was_never_reached_nothing_stays_and_the_key_is_free(
    bench: Bench, client: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_there(action: dict[str, Any]) -> dict[str, Any]:
        raise ServerSelectionTimeoutError("no server")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store.actions, "add", not_there)
        assert (await upload(client))[0] == 503
    assert stored(bench) == set()
    status, made = await upload(client)
    assert (status, made["replayed"]) == (201, False)
    assert stored(bench) == {made["id"]}
