"""How the doctor runs its checks: each has an end, and none takes another one down."""

from __future__ import annotations

import asyncio

import pytest

from app.domain.diagnosis.findings import Finding, Grade, ok, problem, warning
from app.services.doctor import Check, examine


def check(name: str, found: Finding | Exception | None) -> Check:
    """A check that finds this, raises it, or never comes back."""

    async def run() -> Finding:
        if found is None:
            await asyncio.Event().wait()
        if isinstance(found, Exception):
            raise found
        assert found is not None
        return found

    return Check(name, run, "do something")


async def test_report_has_the_order_of_checks() -> None:
    groups = [[check("a", ok("well")), check("b", warning("so", "do"))], [check("c", ok("well"))]]
    assert [(name, finding.grade) for name, finding in await examine(groups)] == [
        ("a", Grade.OK),
        ("b", Grade.WARNING),
        ("c", Grade.OK),
    ]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ConnectionError("nobody\nlistens"), "nobody listens"),
        (ValueError(), "ValueError()"),
        (None, "no answer within 0 s"),
        (OSError("redis://user:hunter22@cache"), "redis://***@cache"),
    ],
)
async def test_fault_is_a_problem(fault: Exception | None, told: str) -> None:
    """In one line, without secrets; those beside it are looked at all the same."""
    groups = [[check("a", ok("well")), check("b", fault), check("c", ok("well"))]]
    _, (_, finding), (_, last) = await examine(groups, timeout=0.05)
    assert finding == problem(told, "do something")
    assert last.grade is Grade.OK


@pytest.mark.parametrize("found", [ConnectionError("away"), warning("not yet", "wait"), problem("wrong", "mend")])
async def test_rest_of_a_group_is_left_out(found: Finding | Exception) -> None:
    """Of what cannot be reached there is nothing more to say."""
    groups = [[check("a", found), check("b", ok("well"))], [check("c", ok("well"))]]
    assert [name for name, _ in await examine(groups)] == ["a", "c"]
