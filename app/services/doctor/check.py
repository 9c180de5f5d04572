"""A check, and how checks are run: each has a time limit, and none of them raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.diagnosis.findings import Finding, Grade, problem
from app.domain.printable import printable
from app.observability.logs import hide

#: Longest wait for one check, seconds.
TIMEOUT = 15.0
#: Longest text of an error that is told, characters.
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: what is looked at.
        run: looks at it; what it raises is a problem.
        advice: what to do when it raises or does not come back.
    """

    name: str
    run: Callable[[], Awaitable[Finding]]
    advice: str = "look at the log of the service"


class Reported(NamedTuple):
    """What a check has found."""

    name: str
    finding: Finding


async def examine(groups: Iterable[Sequence[Check]], *, timeout: float = TIMEOUT) -> list[Reported]:
    """Run checks, and return what they found in their order.

    Groups are run side by side, the checks of a group one after the other. Unless the first of a group finds that all
    is well, the rest of it is left out: of what cannot be reached there is nothing more to say.
    """
    found = await asyncio.gather(*(_examine(group, timeout) for group in groups))
    return [reported for group in found for reported in group]


async def _examine(group: Sequence[Check], timeout: float) -> list[Reported]:
    found: list[Reported] = []
    for check in group:
        found.append(Reported(check.name, await _run(check, timeout)))
        if found[0].finding.grade is not Grade.OK:
            break
    return found


async def _run(check: Check, timeout: float) -> Finding:
    try:
        async with asyncio.timeout(timeout):
            return await check.run()
    except TimeoutError:
        return problem(f"no answer within {timeout:.0f} s", check.advice)
    except Exception as error:
        text = " ".join((str(error) or repr(error)).split()).rstrip(".")
        return problem(printable(hide(text), _MOST_TEXT), check.advice)
