"""Importing a file, running failed rows again, and watching."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from bulk_client.cli.base import ActionId, Exit, Json, Options, client_of, command, options_of
from bulk_client.cli.output import count_of, describe, note, printable, say, write_json
from bulk_client.cli.progress import UploadProgress, WatchProgress
from bulk_client.client import Client
from bulk_client.errors import BadSettings
from bulk_client.models import Accepted, Action
from bulk_client.uploads import Upload

#: Bytes of standard input that are kept in memory; what is more goes to a temporary file.
_IN_MEMORY = 8 * 1024 * 1024

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Wait for the end, and show how it goes on.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        "import",
        "bulk import contacts.csv --watch",
        "bulk import kunden.csv --map Nr=id --map Kunde=name --map Mail=email --map Zustand=status --max-failures 5%",
        "bulk import patch.csv --type patch --schedule 2030-01-31T06:00:00+01:00",
        "cat contacts.csv | bulk import - --name contacts.csv --json",
    )(import_file)
    command(app, "watch", "bulk watch 6b04d285235ca65e4442eb33")(watch)
    command(app, "retry", "bulk retry 6b04d285235ca65e4442eb34 --watch")(retry)


def import_file(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file, plain or packed with gzip; -: standard input.")
    ],
    entity: Annotated[str, typer.Option(help="What the rows are: `bulk entities` lists what can be imported.")] = (
        "Contact"
    ),
    type_: Annotated[
        str, typer.Option("--type", help="update (insert or update), create, patch, delete, or the API's name.")
    ] = "update",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which field; COLUMN= leaves it out."),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="A character, or comma, semicolon, pipe, tab.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as windows-1252; else it is found out.")] = None,
    schedule: Annotated[str | None, typer.Option(help="When to do it, ISO 8601; without offset UTC.")] = None,
    max_failures: Annotated[str | None, typer.Option(help="Pause when more rows fail than that: 100, or 5%.")] = None,
    empty_cells: Annotated[
        str | None, typer.Option(help="What an empty cell of a patch means: skip, clear or reject.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the file is called; else as it is here.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Import it although the same was imported today.")] = False,
    key: Annotated[str | None, typer.Option(help="The idempotency key, in the place of the file's own.")] = None,
    gzip: Annotated[bool, typer.Option(help="Pack the file on the way.")] = True,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Import a file of rows.

    The same command, sent again within 24 hours, imports the file once and tells of the import that is there: its
    idempotency key follows from the bytes of the file, its name and the options.
    """
    options = Upload(
        entity_type=entity,
        action_type=_action_type(type_),
        mapping=_mapping(mapping),
        delimiter=delimiter,
        encoding=encoding,
        scheduled_at=schedule,
        max_failures=max_failures,
        empty_cells=empty_cells,
    )
    with client_of(ctx) as client, _opened(file) as (stream, size):
        called = name or ("stdin.csv" if file == "-" else Path(file).name)
        try:
            with UploadProgress(size) as progress:
                accepted = client.import_file(
                    stream, options, name=called, key=key, again=again, gzip=gzip, on_bytes=progress.sent
                )
        except KeyboardInterrupt:
            note("bulk: interrupted. If the file was taken nevertheless, the same command tells so.")
            raise
        _follow(ctx, client, accepted, called, watch=watch, as_json=as_json)


def retry(ctx: typer.Context, action_id: ActionId, watch: Watch = False, as_json: Json = False) -> None:
    """Run exactly the rows again that failed, as an import of its own."""
    with client_of(ctx) as client:
        _follow(ctx, client, client.retry(action_id), None, watch=watch, as_json=as_json)


def watch(ctx: typer.Context, action_id: ActionId, as_json: Json = False) -> None:
    """Wait until an import has ended, and show how it goes on.

    Ctrl-C ends the watching, and not the import. With --json each change is a line, and the last one is the end.
    """
    with client_of(ctx) as client:
        _watch(ctx, client, action_id, as_json=as_json)


def _action_type(text: str) -> str:
    return f"BULK_{text.upper()}" if text.lower() in ("update", "create", "patch", "delete") else text


def _mapping(given: list[str] | None) -> dict[str, str | None] | None:
    if not given:
        return None
    mapping: dict[str, str | None] = {}
    for entry in given:
        # No field has the sign in its name; a column may.
        column, sign, field = entry.rpartition("=")
        if not sign or not column:
            raise BadSettings(f"--map must be COLUMN=FIELD, and is: {entry}")
        mapping[column] = field or None
    return mapping


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int]]:
    """Give a file that can be read twice, for its key and for the upload, with its size in bytes."""
    if file != "-":
        with Path(file).open("rb") as opened:
            if opened.seekable():
                yield opened, os.fstat(opened.fileno()).st_size
                return
            with _kept(opened) as kept:
                yield kept
        return
    if sys.stdin.isatty():
        note("bulk: reading the file from the terminal; Ctrl-D ends it")
    with _kept(sys.stdin.buffer) as kept:
        yield kept


@contextmanager
def _kept(stream: BinaryIO) -> Iterator[tuple[BinaryIO, int]]:
    # What comes through a pipe comes once. It is kept, so that its key is known before it is sent, and so that it can
    # be sent again when the connection breaks.
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as kept:
        shutil.copyfileobj(stream, kept)
        size = kept.tell()
        yield kept, size  # type: ignore[misc]


def _follow(
    ctx: typer.Context, client: Client, accepted: Accepted, name: str | None, *, watch: bool, as_json: bool
) -> None:
    """Tell what was taken, and watch it if that is wanted."""
    action_id = accepted.action_id
    if as_json:
        write_json({**accepted.raw, "repeated": accepted.repeated})
    else:
        of = "" if name is None else f" of {printable(name)}"
        rows = f"{count_of(accepted.total_count, 'row')}{of}"
        if accepted.repeated:
            say(f"Import {printable(action_id)} is of the same {rows}; --again imports it once more.")
        else:
            say(f"Import {printable(action_id)} is {printable(accepted.status)}: {rows}.")
        if accepted.scheduled_at is not None:
            say(f"It is done at {printable(accepted.scheduled_at)}.")
        if accepted.ignored_columns:
            note(f"Columns that are left out: {printable(accepted.ignored_columns)}")
    if watch:
        _watch(ctx, client, action_id, as_json=as_json)
    elif not as_json:
        note(f"Watch it: {options_of(ctx).command('watch', action_id)}")


def _watch(ctx: typer.Context, client: Client, action_id: str, *, as_json: bool) -> None:
    options = options_of(ctx)
    try:
        with WatchProgress() as progress:
            for counters in client.watch(action_id):
                if as_json:
                    write_json(counters.raw)
                else:
                    progress.show(counters)
                if counters.status == "PAUSED":
                    break
        action = client.action(action_id)
    except KeyboardInterrupt:
        note(f"bulk: the import goes on. Come back with: {options.command('watch', action_id)}")
        raise
    if as_json:
        write_json(action.raw)
    else:
        say(describe(action))
    code = exit_code(action)
    if not as_json:
        _advise(action, options)
    if code:
        raise typer.Exit(code)


def exit_code(action: Action) -> Exit:
    """Return the exit code for an import that is not watched any more."""
    if action.status == "FAILED":
        return Exit.FAILED
    if action.failure_count or action.status != "COMPLETED":
        return Exit.SOME_ROWS_FAILED
    return Exit.GOOD


def _advise(action: Action, options: Options) -> None:
    """Say why it is not complete, and what can be done."""
    last = action.history[-1] if action.history else None
    if action.error:
        note(f"Reason: {printable(action.error)}")
    elif last is not None and last.reason and action.status in ("PAUSED", "CANCELLED"):
        note(f"Reason: {printable(last.reason)}")
    if action.failure_count:
        note(f"What failed, in groups:  {options.command('failures', action.action_id)}")
        note(f"As a file to correct:    {options.command('results', action.action_id, '--failed', '-o', 'failed.csv')}")
    if action.status == "PAUSED":
        note(f"Go on regardless:        {options.command('resume', action.action_id)}")
