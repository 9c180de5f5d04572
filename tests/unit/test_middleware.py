"""What goes wrong behind a view becomes an answer that says which kind of thing is away, and nothing more."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiokafka.errors import KafkaConnectionError
from bson.errors import InvalidDocument
from pymongo.errors import ServerSelectionTimeoutError
from redis.exceptions import ConnectionError as RedisConnectionError

from web.errors import UNEXPECTED
from web.middleware.chain import json_errors

pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")


async def answer_to(fault: Exception) -> tuple[int, dict[str, Any]]:
    async def view(request: web.Request) -> web.Response:
        raise fault

    request = make_mocked_request("GET", "/bulk-actions")
    request["id"] = "x"
    response = await json_errors(request, view)
    assert isinstance(response, web.Response)
    return response.status, orjson.loads(response.body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "dependency"),
    [
        (ServerSelectionTimeoutError("mongo-0.internal"), "database"),
        (RedisConnectionError("redis-0.internal"), "cache"),
        (OSError("/mnt/internal"), "storage"),
        (KafkaConnectionError("kafka-0.internal"), "broker"),
    ],
)
async def test_a_503_says_which_kind_of_thing_is_away(fault: Exception, dependency: str) -> None:
    status, body = await answer_to(fault)
    assert (status, body["code"], body["dependency"]) == (503, "SERVICE_UNAVAILABLE", dependency)
    assert body["error"] == f"The {dependency} is away. Please try again later."
    assert "internal" not in str(body)


@pytest.mark.parametrize("fault", [InvalidDocument("internal"), KeyError("internal")])
async def test_a_fault_of_ours_is_no_503(fault: Exception) -> None:
    status, body = await answer_to(fault)
    assert (status, body["code"], body["error"]) == (
        500,
        "INTERNAL",
        "An unexpected error occurred. Please try again later.",
    )


async def test_what_takes_too_long_may_be_anything() -> None:
    status, body = await answer_to(TimeoutError())
    assert (status, body["error"]) == (503, UNEXPECTED)
