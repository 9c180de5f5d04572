"""How the exceptions of a driver become faults of ours, at the border of its adapter."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from app.observability.work import count_step

C = TypeVar("C", bound=type)


class Translation:
    """What the exceptions of a driver mean.

    Args:
        driver: The base classes of the driver's exceptions.
        fault_of: Makes a fault of one of them, which becomes its cause.
    """

    def __init__(self, *driver: type[Exception], fault_of: Callable[[Any], Exception]) -> None:
        self._driver = driver
        self.fault_of = fault_of

    def at_border(self, adapter: C) -> C:
        """Decorate the class of an adapter: its public coroutines and asynchronous generators raise faults of ours.

        What is private to the class keeps the driver's exceptions, of which it may make something else.
        """
        for name, member in list(vars(adapter).items()):
            if name.startswith("_"):
                continue
            if inspect.iscoroutinefunction(member):
                setattr(adapter, name, self._coroutine(member))
            elif inspect.isasyncgenfunction(member):
                setattr(adapter, name, self._generator(member))
        return adapter

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Do the same for what is done in this context."""
        try:
            yield
        except self._driver as error:
            raise self.fault_of(error) from error

    def _coroutine(self, method: Callable[..., Any]) -> Callable[..., Any]:
        driver, fault_of = self._driver, self.fault_of

        @functools.wraps(method)
        async def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except driver as error:
                raise fault_of(error) from error
            finally:
                count_step()

        return translated

    def _generator(self, method: Callable[..., Any]) -> Callable[..., Any]:
        driver, fault_of = self._driver, self.fault_of

        @functools.wraps(method)
        async def translated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async with aclosing(method(*args, **kwargs)) as items:
                try:
                    async for item in items:
                        yield item
                except driver as error:
                    raise fault_of(error) from error

        return translated
