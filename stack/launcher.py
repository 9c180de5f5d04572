"""The stack: several services, started and stopped together."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from stack.addresses import Address, local, parse
from stack.downloads import LIBRARY
from stack.errors import Cancellation, Cancelled
from stack.instance import Instance, Report
from stack.model import Options, Service
from stack.services import NEEDED, select

DATA = LIBRARY.parent / "data"

Ports = Literal["default", "free"] | int


class Stack:
    """Real services for a command, a test or a benchmark.

    `ports` says where they are:
    - "default": at the addresses in the environment (KAFKA_BROKER, ...), else at the usual ports. What already answers
      there is used and never stopped.
    - a number: at this port and those after it, in the order of the services; what answers there is used as well.
    - "free": on ports that nobody uses, always started by us. The directory remembers them.

    Use it as a context manager, or call `start` and `stop`. All methods block; call them in a thread from asyncio.
    """

    def __init__(
        self,
        directory: Path | str = DATA,
        services: Iterable[str | Service] = NEEDED,
        ports: Ports = "default",
        *,
        options: Options | None = None,
        library: Path | str = LIBRARY,
        environment: Mapping[str, str] | None = None,
        report: Report | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Describe a stack; nothing is started yet. Raises StackError for unknown services and bad addresses."""
        self.directory = Path(directory).resolve()
        self._cancellation = cancellation or Cancellation()
        self._owner: int | None = None
        self._variables = os.environ if environment is None else environment
        self._instances = {
            service.name: Instance(
                service,
                self.directory / service.name,
                address=_address(service, position, ports, self._variables),
                library=Path(library).resolve(),
                options=options or Options(),
                cancellation=self._cancellation,
                report=report or _silence,
            )
            for position, service in enumerate(select(services))
        }

    def __getitem__(self, service: str | Service) -> Instance:
        """Return one service of the stack. Raises KeyError when it is not part of it."""
        return self._instances[service.name if isinstance(service, Service) else service]

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all services at once and return when all are ready; or stop them again and raise StackError.

        Raises AddressTaken when something else sits at an address, Cancelled after `cancel`.
        """
        self._owner = os.getpid()
        atexit.register(self.stop)
        try:
            self._all(Instance.start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started, all at once; what was taken goes on. May be called again at any time."""
        if self._owner != os.getpid():  # never started, or a forked copy whose children are not its own
            return
        self._owner = None
        atexit.unregister(self.stop)
        try:
            self._all(Instance.close)
        finally:
            self._cancellation.requested = False  # a later start is another matter

    def cancel(self) -> None:
        """Make a `start` under way in this or another thread give up. Safe in a signal handler."""
        self._cancellation.requested = True

    def environment(self) -> dict[str, str]:
        """Return the variables with which a program finds the services."""
        found: dict[str, str] = {}
        for instance in self:
            found |= instance.environment(self._variables)
        return found

    def _all(self, action: Callable[[Instance], None]) -> None:
        _at_once(action, list(self), self._cancellation)


def fetch_all(
    services: Iterable[str | Service], report: Report, cancellation: Cancellation, library: Path = LIBRARY
) -> None:
    """Download what the services need and install missing tools, all at once, without starting anything.

    Raises StackError.
    """
    instances = [
        Instance(
            service,
            DATA / service.name,
            address=None,
            library=library,
            options=Options(),
            cancellation=cancellation,
            report=report,
        )
        for service in select(services)
    ]
    _at_once(Instance.provide, instances, cancellation)


def _at_once(action: Callable[[Instance], object], instances: Collection[Instance], cancellation: Cancellation) -> None:
    """Do something with all instances, each in a thread; when one fails the others are asked to give up."""
    if not instances:
        return

    def give_up_together(future: Future[object]) -> None:
        if future.exception() is not None:
            cancellation.requested = True

    with ThreadPoolExecutor(len(instances), thread_name_prefix="stack") as pool:
        futures = [pool.submit(action, instance) for instance in instances]
        for future in futures:
            future.add_done_callback(give_up_together)
        try:
            errors = [error for future in futures if (error := future.exception()) is not None]
        except BaseException:
            cancellation.requested = True
            raise
    # The one that failed says more than those that gave up because of it.
    errors.sort(key=lambda error: isinstance(error, Cancelled))
    if errors:
        raise errors[0]


def _address(service: Service, position: int, ports: Ports, environment: Mapping[str, str]) -> Address | None:
    if ports == "free":
        return None
    if isinstance(ports, int):
        return local(service.default, ports + position)
    uri = environment.get(service.variable, "").strip() or service.default
    return parse(uri, default=service.default, variable=service.variable)


def _silence(_name: str, _text: str) -> None:
    pass
