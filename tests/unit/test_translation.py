"""What a driver raises inside of an adapter leaves it as a fault of ours, with the driver's own as its cause."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, DuplicateKeyError, NotPrimaryError, OperationFailure, PyMongoError

from agents.faults import is_transient, means_away
from app.adapters.mongo.faults import MONGO
from app.domain.faults import Conflict, Dependency, DependencyFault, PassingFault, PermanentFault


@MONGO.at_border
class Adapter:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def get(self) -> int:
        return await self._get()

    async def all(self) -> AsyncIterator[int]:
        yield 1
        yield await self._get()

    async def recover(self) -> bool:
        try:
            await self._get()
        except PyMongoError:
            return True
        return False

    async def _get(self) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "away"),
    [
        (AutoReconnect("gone"), PassingFault, False),
        (NotPrimaryError("stepped down"), PassingFault, True),
        (OperationFailure("conflict", 112), PassingFault, True),
        (OperationFailure("new", 4242), PassingFault, False),
        (DuplicateKeyError("there"), Conflict, False),
        (InvalidDocument("no BSON"), PermanentFault, False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_driver_errors_become_ours(error: Exception, kind: type[DependencyFault], away: bool) -> None:
    with pytest.raises(DependencyFault, match=str(error)) as fault:
        await Adapter(error).get()
    assert type(fault.value) is kind
    assert fault.value.__cause__ is error
    assert (is_transient(fault.value), means_away(fault.value)) == (kind is not PermanentFault, away)
    assert fault.value.dependency is (None if kind is PermanentFault else Dependency.DATABASE)
    assert type(error).__name__ in repr(fault.value)


async def test_generators_translate_too() -> None:
    items = Adapter(AutoReconnect("gone")).all()
    assert await anext(items) == 1
    with pytest.raises(PassingFault):
        await anext(items)


async def test_privates_keep_driver_errors() -> None:
    """An adapter sees what its driver says, and makes of it what it must."""
    assert await Adapter(AutoReconnect("gone")).recover()


async def test_other_errors_pass_through() -> None:
    error = KeyError("ours")
    with pytest.raises(KeyError) as fault:
        await Adapter(error).get()
    assert fault.value is error
