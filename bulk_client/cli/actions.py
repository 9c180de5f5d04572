"""Imports that are there: list, show, steer, take away; what became of their rows."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from bulk_client.cli.base import ActionId, Exit, Json, Limit, client_of, command
from bulk_client.cli.output import describe, note, printable, say, write_fields, write_json, write_table
from bulk_client.models import Action

Reason = Annotated[str | None, typer.Option(help="Why, for the history of the import.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "list", "bulk list --status completed --limit 10", "bulk list --json")(list_actions)
    command(app, "show", "bulk show 6b04d285235ca65e4442eb33")(show)
    command(app, "failures", "bulk failures 6b04d285235ca65e4442eb34")(failures)
    command(
        app,
        "results",
        "bulk results 6b04d285235ca65e4442eb34 --failed -o failed.csv",
        "bulk results 6b04d285235ca65e4442eb34 --ndjson",
    )(results)
    command(app, "cancel", "bulk cancel 6b04d285235ca65e4442eb35 --reason 'the wrong file'")(cancel)
    command(app, "pause", "bulk pause 6b04d285235ca65e4442eb36")(pause)
    command(app, "resume", "bulk resume 6b04d285235ca65e4442eb36")(resume)
    command(
        app,
        "reschedule",
        "bulk reschedule 6b04d285235ca65e4442eb37 2030-01-31T06:00:00+01:00",
        "bulk reschedule 6b04d285235ca65e4442eb37 now",
    )(reschedule)
    command(app, "delete", "bulk delete 6b04d285235ca65e4442eb33 --yes")(delete)


def list_actions(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only with this status, such as processing.")] = None,
    entity: Annotated[str | None, typer.Option(help="Only of this entity.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List imports, the newest first."""
    with client_of(ctx) as client:
        found = list(client.actions(status=status, entity_type=entity, limit=limit + 1))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        write_json([action.raw for action in found])
        return
    write_table(
        ("id", "status", "what", "rows", "done", "failed", "made at", "file"),
        (
            (
                action.action_id,
                action.status,
                f"{action.action_type.removeprefix('BULK_').lower()} {action.entity_type}",
                action.total_count,
                action.processed_count,
                action.failure_count,
                action.created_at,
                action.file_name,
            )
            for action in found
        ),
        empty="There are no imports.",
    )
    if more:
        note("There are more: --limit shows more.")


def show(ctx: typer.Context, action_id: ActionId, as_json: Json = False) -> None:
    """Show an import: its file, what became of its rows, and its history."""
    with client_of(ctx) as client:
        _show(client.action(action_id), as_json=as_json)


def _show(action: Action, *, as_json: bool) -> None:
    if as_json:
        write_json(action.raw)
        return
    write_fields(
        (
            ("import", action.action_id),
            ("rows", describe(action)),
            ("type", f"{action.action_type} of {action.entity_type}"),
            ("file", action.file_name),
            ("bytes", action.file_size),
            ("delimiter", action.delimiter),
            ("encoding", action.encoding),
            ("mapping", action.mapping),
            ("left out", action.ignored_columns or None),
            ("most failures", action.max_failures),
            ("made by", action.created_by),
            ("made at", action.created_at),
            ("scheduled at", action.scheduled_at),
            ("started at", action.started_at),
            ("completed at", action.completed_at),
            ("deleted at", action.expires_at),
            ("retry of", action.retry_of),
            ("retried by", action.retried_by),
            ("error", action.error),
        )
    )
    if action.history:
        say("")
        rows = [(step.at, step.status, step.by, step.reason) for step in action.history]
        write_table(("at", "status", "by", "reason"), rows, empty="")


def failures(ctx: typer.Context, action_id: ActionId, limit: Limit = 20, as_json: Json = False) -> None:
    """Show what failed, in groups of rows with the same mistake."""
    with client_of(ctx) as client:
        found = client.failures(action_id, limit=limit)
    if as_json:
        write_json(found.raw)
        return
    rows = [
        (group.count, group.code, group.column, group.value, group.message, ", ".join(map(str, group.rows)))
        for group in found.groups
    ]
    write_table(("rows", "code", "column", "value", "message", "such as rows"), rows, empty="No row has failed.")
    if found.group_count > len(found.groups):
        note(f"{found.group_count - len(found.groups):,} further groups: --limit shows more.")


def results(
    ctx: typer.Context,
    action_id: ActionId,
    failed: Annotated[bool, typer.Option("--failed", help="Only the rows that failed.")] = False,
    status: Annotated[str | None, typer.Option(help="Only rows with these, such as FAILED,SKIPPED.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to standard output.")
    ] = None,
    ndjson: Annotated[bool, typer.Option("--ndjson", "--json", help="Lines of JSON in the place of CSV.")] = False,
) -> None:
    """Download the rows with what became of each; corrected, the file can be imported as it is."""
    with (
        client_of(ctx) as client,
        client.results(action_id, statuses="FAILED" if failed else status, ndjson=ndjson) as pieces,
    ):
        if output is None or output == "-":
            _write_out(pieces)
        else:
            size = _write_file(Path(output), pieces)
            note(f"{printable(output)}: {size:,} bytes")


def _write_out(pieces: Iterator[bytes]) -> None:
    """Write to standard output as it is; to a terminal without what that would take for a command."""
    if not sys.stdout.isatty():
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            say(printable(line.decode(errors="replace").rstrip("\r")))
    if rest:
        say(printable(rest.decode(errors="replace")))


def _write_file(path: Path, pieces: Iterator[bytes]) -> int:
    """Write a file, which is there whole or not at all; return its size in bytes."""
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            return _write_to(stream, pieces)
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", delete=False) as part:
        unfinished = Path(part.name)
        try:
            size = _write_to(part.file, pieces)
            part.close()
            mask = os.umask(0)
            os.umask(mask)
            unfinished.chmod(0o666 & ~mask)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    return size


def _write_to(stream: IO[bytes], pieces: Iterator[bytes]) -> int:
    return sum(stream.write(piece) for piece in pieces)


def cancel(ctx: typer.Context, action_id: ActionId, reason: Reason = None, as_json: Json = False) -> None:
    """End an import; what was written stays written."""
    with client_of(ctx) as client:
        _steered(client.cancel(action_id, reason), as_json=as_json)


def pause(ctx: typer.Context, action_id: ActionId, reason: Reason = None, as_json: Json = False) -> None:
    """Begin no further rows of an import until it is resumed."""
    with client_of(ctx) as client:
        _steered(client.pause(action_id, reason), as_json=as_json)


def resume(ctx: typer.Context, action_id: ActionId, reason: Reason = None, as_json: Json = False) -> None:
    """Go on with an import that is paused."""
    with client_of(ctx) as client:
        _steered(client.resume(action_id, reason), as_json=as_json)


def reschedule(
    ctx: typer.Context,
    action_id: ActionId,
    when: Annotated[str, typer.Argument(metavar="WHEN", help="ISO 8601, without offset UTC; or: now.")],
    as_json: Json = False,
) -> None:
    """Move an import that is scheduled."""
    with client_of(ctx) as client:
        action = client.reschedule(action_id, None if when == "now" else when)
    if not as_json and action.scheduled_at is not None:
        say(f"It is done at {printable(action.scheduled_at)}.")
    else:
        _steered(action, as_json=as_json)


def _steered(action: Action, *, as_json: bool) -> None:
    if as_json:
        write_json(action.raw)
    else:
        say(f"Import {printable(action.action_id)} is {printable(action.status)}.")


def delete(
    ctx: typer.Context,
    action_id: ActionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an import that has ended, with its file and outcomes; the records that it wrote stay."""
    if not yes:
        if not sys.stdin.isatty():
            note("bulk: delete asks before it does so; where nobody can answer, it needs --yes")
            raise typer.Exit(Exit.FAILED)
        typer.confirm(f"Delete import {printable(action_id)} with its file and outcomes?", abort=True, err=True)
    with client_of(ctx) as client:
        client.delete(action_id)
    say(f"Import {printable(action_id)} is deleted.")
