"""A server that takes uploads and nothing else, on a bench."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from app.domain.access import Principal, Role
from app.domain.actions import Action
from tests.support.bench import Bench
from web.errors.problem import ApiError
from web.upload.handler import receive


class UploadsOnly:
    """Takes uploads for the context that the bench has at that time."""

    def __init__(self, bench: Bench, client: TestClient[web.Request, web.Application]) -> None:
        self._bench, self._client = bench, client

    @classmethod
    @asynccontextmanager
    async def on(cls, bench: Bench) -> AsyncIterator[UploadsOnly]:
        async def post(request: web.Request) -> web.Response:
            principal = Principal(request.headers["accountid"], Role.OPERATOR, "key 1")
            try:
                action, _ = await receive(request, bench.context, principal)
            except ApiError as error:
                return web.json_response(error.to_body("x"), status=error.status, headers=error.headers)
            return web.json_response({"id": action.id}, status=201)

        application = web.Application()
        application.router.add_post("/", post)
        async with TestClient(TestServer(application)) as client:
            yield cls(bench, client)

    async def post(
        self, before: Mapping[str, str], content: Any, behind: Mapping[str, str] | None = None, account: str = "default"
    ) -> tuple[int, dict[str, Any]]:
        """Post a file between two groups of fields; status and answer."""
        form = FormData()
        for name, value in before.items():
            form.add_field(name, value)
        form.add_field("file", content, filename="upload.csv")
        for name, value in (behind or {}).items():
            form.add_field(name, value)
        async with self._client.post("/", data=form, headers={"accountid": account}) as answer:
            return answer.status, dict(await answer.json())

    async def take(self, before: Mapping[str, str], content: Any, behind: Mapping[str, str] | None = None) -> Action:
        """Post what must be taken; its action."""
        status, answer = await self.post(before, content, behind)
        assert status == 201, answer
        action = await self._bench.store.actions.get(answer["id"])
        assert action is not None
        return action
