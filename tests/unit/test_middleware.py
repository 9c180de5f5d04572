"""What goes wrong behind a view becomes an answer that says which kind of thing is away, and nothing more."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web

from app.domain.faults import Dependency, PassingFault, PermanentFault
from tests.support.requests import request_to
from web.errors.catalogue import TIMED_OUT
from web.middleware.errors import errors_to_json
from web.views.actions import ActionsView


async def answer_to(fault: Exception) -> tuple[int, dict[str, Any]]:
    async def view(request: web.Request) -> web.Response:
        raise fault

    response = await errors_to_json(request_to(ActionsView), view)
    assert isinstance(response, web.Response)
    return response.status, orjson.loads(response.body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "dependency"),
    [
        (PassingFault("mongo-0.internal", Dependency.DATABASE), "database"),
        (PassingFault("redis-0.internal", Dependency.CACHE), "cache"),
        (OSError("/mnt/internal"), "storage"),
        (PassingFault("kafka-0.internal", Dependency.BROKER), "broker"),
    ],
)
async def test_503_names_the_dependency(fault: Exception, dependency: str) -> None:
    """A 503 says which kind of dependency is away."""
    status, body = await answer_to(fault)
    assert (status, body["code"], body["dependency"]) == (503, "SERVICE_UNAVAILABLE", dependency)
    assert body["error"] == f"The {dependency} is away. Please try again later."
    assert "internal" not in str(body)


@pytest.mark.parametrize("fault", [PermanentFault("internal"), KeyError("internal")])
async def test_a_fault_of_ours_is_no_503(fault: Exception) -> None:
    status, body = await answer_to(fault)
    assert (status, body["code"], body["error"]) == (
        500,
        "INTERNAL",
        "An unexpected error occurred. Please try again later.",
    )


async def test_timeout_names_no_dependency() -> None:
    """What takes too long may be anything."""
    status, body = await answer_to(TimeoutError())
    assert (status, body["error"]) == (503, TIMED_OUT.message)
