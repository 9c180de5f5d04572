"""What all commands share: the connection, the exit codes, and how an error is told."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bulk_client.cli.output import note, printable
from bulk_client.client import Client
from bulk_client.errors import ApiError, BadSettings, BulkError
from bulk_client.settings import Connection

F = TypeVar("F", bound=Callable[..., None])

#: Shortest pause before another attempt that is told, seconds.
_TOLD = 1.0


class Exit(IntEnum):
    """The exit codes of the command; 2 is that of a command line that cannot be read."""

    GOOD = 0
    FAILED = 1
    SOME_ROWS_FAILED = 3
    REFUSED = 4
    INTERRUPTED = 128 + signal.SIGINT
    #: What a shell shows of a program that wrote to a reader who had gone.
    BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True)
class Options:
    """The options that stand before the command."""

    url: str | None = None
    profile: str | None = None
    api_key_file: Path | None = None
    account: str | None = None
    ca_file: str | None = None
    timeout: float | None = None

    def client(self) -> Client:
        """Return a client for them.

        Raises:
            BadSettings: they cannot be used.
        """
        connection = Connection.load(
            profile=self.profile,
            url=self.url,
            api_key=None if self.api_key_file is None else _read_key(self.api_key_file),
            account=self.account,
            ca_file=self.ca_file,
            timeout=self.timeout,
        )
        return Client(connection, on_wait=_tell_wait)

    def command(self, *words: str) -> str:
        """Return a command that does something with the same server, to be copied."""
        said = {
            "--url": self.url,
            "--profile": self.profile,
            "--api-key-file": self.api_key_file,
            "--account": self.account,
            "--ca-file": self.ca_file,
        }
        given = [word for name, value in said.items() if value is not None for word in (name, str(value))]
        return shlex.join(["bulk", *given, *words])


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BadSettings(f"The key cannot be read from {file}.") from None


def _tell_wait(seconds: float, error: BulkError) -> None:
    if seconds >= _TOLD:
        note(f"{printable(error)} Trying again in {seconds:.0f} s.")


def options_of(ctx: typer.Context) -> Options:
    """Return the options that stand before the command."""
    return ctx.obj if isinstance(ctx.obj, Options) else Options()


def command_with(ctx: typer.Context, **changed: str) -> str:
    """Return the command that runs, with other values of these options, to be copied."""
    names: list[str] = []
    step: Any = ctx
    while step.parent is not None:
        names.insert(0, step.info_name)
        step = step.parent
    options, arguments = [f"--{name}={value}" for name, value in changed.items()], []
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in changed:
            continue
        value = str(ctx.params[parameter.name or ""])
        if parameter.param_type_name == "argument":
            arguments.append(value)
        else:
            options.append(parameter.opts[0] if value == "True" else f"{parameter.opts[0]}={value}")
    # What begins with a dash is none of the options behind two of them.
    dashes = ["--"] if any(word.startswith("-") for word in arguments) else []
    return options_of(ctx).command(*names, *options, *dashes, *arguments)


def client_of(ctx: typer.Context) -> Client:
    """Return the client that a command works with."""
    return options_of(ctx).client()


Json = Annotated[bool, typer.Option("--json", help="JSON for programs, in the place of tables.")]
ActionId = Annotated[str, typer.Argument(metavar="ID", help="The id of the import.")]
Limit = Annotated[int, typer.Option(min=1, help="Most entries.")]
Cursor = Annotated[str | None, typer.Option(help="Where to go on, as the page before has said.")]


def examples(*lines: str) -> str:
    """Return the end of a help page, with an example for each line."""
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in lines)


def command(app: typer.Typer, name: str, *lines: str) -> Callable[[F], F]:
    """Register a command, with its examples, whose errors are told in a line and become its exit code."""

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
                sys.stdout.flush()
            except KeyboardInterrupt:
                raise typer.Exit(Exit.INTERRUPTED) from None
            except BrokenPipeError:
                _leave_pipe()
            except BulkError as error:
                raise typer.Exit(tell(error)) from None
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                note(f"bulk: {printable(where)}{printable(error.strerror or error)}")
                raise typer.Exit(Exit.FAILED) from None

        app.command(name, epilog=examples(*lines))(run)
        return function

    return register


def tell(error: BulkError) -> Exit:
    """Tell an error in its own words; return the exit code."""
    note(f"bulk: {printable(error)}")
    if not isinstance(error, ApiError):
        return Exit.FAILED
    for fault in error.faults:
        field, message = printable(fault.get("field")), printable(fault.get("message"))
        if message and message != printable(error):
            note(f"  {field}: {message}" if field else f"  {message}")
    if error.code:
        request = f", request {printable(error.request_id)}" if error.request_id else ""
        note(f"  ({printable(error.code)}{request})")
    return Exit.REFUSED if error.refused else Exit.FAILED


def _leave_pipe() -> None:
    # What is still in the buffer of standard output would fail once more when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(Exit.BROKEN_PIPE)
