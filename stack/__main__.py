"""The command line of the launcher: `python -m stack up | cluster | fetch | clients | vendor | doctor | trace`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.text import Text

from stack.clients import CLIENTS
from stack.cluster import run as run_workers
from stack.doctor import examine
from stack.errors import Cancellation, StackError
from stack.launcher import DATA, Ports, Stack, fetch_all
from stack.model import Options
from stack.process import Child, adopt_orphans, end_processes
from stack.services import GATEWAY, NEEDED, SERVICES, TRACES, select
from stack.spans import lines as trace_lines
from stack.spans import read as read_spans
from stack.spans import traces_of
from stack.traces import FILE as TRACES_FILE
from stack.vendoring import vendor

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
# On stderr: stdout belongs to the command that is served.
console = Console(stderr=True, highlight=False, soft_wrap=True)

_NEEDED = ",".join(NEEDED)
#: Beside the port of the worker that `make serve` starts.
_FIRST_WORKER = 3001
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ServicesOption = Annotated[str, typer.Option(envvar="STACK", help=f"comma-separated, of: {', '.join(SERVICES)}")]


class _Signals:
    """Remembers the signals and passes them on; the waits look at it, so nothing is interrupted half-way."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.first: int | None = None
        self.command: Child | None = None
        self._cancellation = cancellation
        for number in _SIGNALS:
            signal.signal(number, self._received)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.first = self.first or number
        self._cancellation.requested = True
        if self.command is not None:
            self.command.signal(number)


@cli.command()
def up(
    command: Annotated[list[str] | None, typer.Argument(help="what to run with the services (after --)")] = None,
    directory: Annotated[Path, typer.Option("--dir", help="where the services keep their data")] = DATA,
    services: ServicesOption = _NEEDED,
    port_base: Annotated[
        str, typer.Option(help="first of consecutive ports, or 'auto' for free ones; empty: the usual addresses")
    ] = "",
    kafka_heap: Annotated[str, typer.Option(help="heap of Kafka")] = Options.kafka_heap,
    mongo_heap: Annotated[str, typer.Option(help="heap of the MongoDB server, unless it is mongod")] = (
        Options.mongo_heap
    ),
    mongo_memory: Annotated[bool, typer.Option(help="keep MongoDB's data in memory only")] = False,
) -> None:
    """Provide the services, for COMMAND or until Ctrl-C."""
    cancellation = Cancellation()
    signals = _Signals(cancellation)
    adopt_orphans()
    options = Options(kafka_heap, mongo_heap, mongo_memory)
    with _explained(signals):
        stack = Stack(
            directory,
            services.split(","),
            _ports(port_base),
            options=options,
            report=_report,
            cancellation=cancellation,
        )
        with stack:
            code = _run(stack, command, signals) if command else _serve(stack, signals)
            _end_orphans(stack)
    raise typer.Exit(code)


@cli.command()
def cluster(
    workers: Annotated[int, typer.Option(min=1, max=100, help="how many workers")] = 3,
    first_port: Annotated[int, typer.Option(min=1, max=65_000, help="port of the first worker")] = _FIRST_WORKER,
    directory: Annotated[Path, typer.Option("--dir", help="where services and workers keep their data")] = DATA,
    services: ServicesOption = _NEEDED,
) -> None:
    """Provide the services, several workers, and the gateway in front of them, until Ctrl-C."""
    cancellation = Cancellation()
    signals = _Signals(cancellation)
    adopt_orphans()
    with _explained(signals):
        ports = range(first_port, first_port + workers)
        stack = Stack(
            directory,
            [*services.split(","), GATEWAY],
            options=Options(workers=tuple(ports)),
            report=_report,
            cancellation=cancellation,
        )
        with stack:
            gateway = stack[GATEWAY]
            if gateway.taken:
                raise StackError(
                    f"a gateway for other workers answers at {gateway.uri} already; set {GATEWAY.variable}"
                )
            _report("gateway", f"serves {gateway.uri}, log {gateway.log}; look: curl {gateway.uri}/ready")
            stopped = _Watch(stack, signals)
            run_workers(ports, stack.directory, stack.environment(), _report, stopped)
            _end_orphans(stack)


class _Watch:
    """Tells whether it is time to stop: a signal came, or a service ended, which is an error."""

    def __init__(self, stack: Stack, signals: _Signals) -> None:
        self._stack = stack
        self._signals = signals

    def __call__(self) -> bool:
        for instance in self._stack:
            if self._signals.first is None and not instance.alive():
                raise StackError(instance.failure())
        return self._signals.first is not None


@cli.command()
def fetch(services: ServicesOption = _NEEDED) -> None:
    """Download what the services need, and start nothing."""
    cancellation = Cancellation()
    with _explained(_Signals(cancellation)):
        fetch_all(services.split(","), _report, cancellation)
        console.print("everything is downloaded")


@cli.command("vendor")
def vendor_command() -> None:
    """Fetch the libraries of the dashboard anew, into the repository."""
    try:
        for line in vendor():
            print(line)
    except StackError as error:
        _fail(error)


@cli.command()
def clients() -> None:
    """Install or download what tests use beside the services: newman, a browser, axe-core, biome.

    One that cannot be had is named, and its tests are skipped; with CI set it is an error.
    """
    cancellation = Cancellation()
    with _explained(_Signals(cancellation)):
        for client in CLIENTS:
            try:
                client.provide(cancellation, _report)
            except StackError as error:
                if cancellation.requested or os.environ.get("CI"):
                    raise
                _report(client.name, f"its tests will be skipped: {error}")


@cli.command()
def doctor(services: ServicesOption = _NEEDED) -> None:
    """Say what is missing on this machine and how to install it."""
    well = True
    try:
        for finding in examine(select(services.split(",")), os.environ):
            well &= finding.well
            _report(finding.subject, finding.text)
    except StackError as error:
        _fail(error)
    raise typer.Exit(0 if well else 1)


@cli.command()
def trace(
    action: Annotated[str, typer.Argument(help="the id of an action, or another value of an attribute")],
    directory: Annotated[Path, typer.Option("--dir", help="where the services keep their data")] = DATA,
) -> None:
    """Show the traces of an action that the service 'traces' has received."""
    file = directory / TRACES.name / TRACES_FILE
    found = traces_of(read_spans(file), action)
    if not found:
        _fail(StackError(f"no trace of {action} in {file}; spans come a few seconds after they have ended"))
    for spans in found:
        for line in trace_lines(spans):
            print(line)


def _run(stack: Stack, command: list[str], signals: _Signals) -> int:
    if signals.first is not None:
        return 128 + signals.first
    sys.stdout.flush()
    child = signals.command = Child(command, environment=stack.environment())
    if signals.first is not None:  # it came before there was a command to pass it on to
        child.signal(signals.first)
    dead: set[str] = set()
    while (code := child.wait(0.2)) is None:
        for instance in stack:
            if not instance.alive() and instance.service.name not in dead:
                dead.add(instance.service.name)
                _report(instance.service.name, instance.failure())
    return code if code >= 0 else 128 - code


def _serve(stack: Stack, signals: _Signals) -> int:
    for variable, uri in stack.environment().items():
        console.print(f"{variable}={uri}", markup=False)
    console.print("serving until Ctrl-C")
    while signals.first is None:
        time.sleep(0.2)
        for instance in stack:
            if not instance.alive():
                raise StackError(instance.failure())
    return 0


def _end_orphans(stack: Stack) -> None:
    """End what the command left running in the background: its services are about to go."""
    services = {instance.pid for instance in stack if not instance.taken and instance.alive()}
    orphans: list[psutil.Process] = []
    for process in psutil.Process().children():
        if process.pid not in services:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphans += [*process.children(recursive=True), process]
    end_processes(orphans, within=10)


def _ports(text: str) -> Ports:
    if text in ("", "auto"):
        return "free" if text else "default"
    if not text.isdigit() or not 0 < int(text) < 65_500:
        raise StackError(f"--port-base {text} is neither a port nor 'auto'")
    return int(text)


@contextlib.contextmanager
def _explained(signals: _Signals) -> Iterator[None]:
    try:
        yield
    except StackError as error:
        if signals.first is not None:
            raise typer.Exit(128 + signals.first) from None
        _fail(error)
    except OSError as error:  # a directory that cannot be written, a full disk
        _fail(StackError(str(error)))


def _report(name: str, text: str) -> None:
    console.print(Text.assemble((f"{name:<13}", "cyan"), text))


def _fail(error: StackError) -> None:
    console.print(Text.assemble(("error: ", "red"), str(error)))
    raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    cli()
