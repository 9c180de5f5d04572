"""What can be imported, records and their histories, events, and dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from bulk_client.cli.base import Cursor, Json, Limit, client_of, command, command_with
from bulk_client.cli.output import note, printable, say, write_fields, write_json, write_table
from bulk_client.client import Client
from bulk_client.models import Event

_EntityType = Annotated[str, typer.Argument(metavar="ENTITY", help="Such as Contact.")]
#: Most events of one request.
_PAGE = 500

records = typer.Typer(no_args_is_help=True, help="Records, and what was done to them.", rich_markup_mode=None)
dead_letters = typer.Typer(no_args_is_help=True, help="Messages that could not be carried out.", rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "entities", "bulk entities")(entities)
    command(app, "template", "bulk template Contact > contacts.csv")(template)
    command(
        app,
        "search",
        "bulk search 'email address' --level error --limit 20",
        "bulk search --action 6b04d285235ca65e4442eb34 --code INVALID_EMAIL --json",
    )(search)
    app.add_typer(records, name="records")
    command(records, "show", "bulk records show Contact 1")(show_record)
    app.add_typer(dead_letters, name="deadletters")
    command(dead_letters, "list", "bulk deadletters list --status DEAD")(list_dead_letters)
    command(dead_letters, "replay", "bulk deadletters replay 6b04d285235ca65e4442eb38:0")(replay)


def entities(ctx: typer.Context, as_json: Json = False) -> None:
    """List what can be imported, with the fields of each."""
    with client_of(ctx) as client:
        found = client.entities()
    if as_json:
        write_json([entity.raw for entity in found])
        return
    rows = [
        (
            entity.entity_type,
            [field if field in entity.required else f"[{field}]" for field in entity.fields],
            entity.unique,
            entity.description,
        )
        for entity in found
    ]
    write_table(("entity", "fields ([…]: may be empty)", "unique", "description"), rows, empty="There are none.")


def template(
    ctx: typer.Context,
    entity: _EntityType,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of a row in its place.")] = False,
) -> None:
    """Write an empty file, which has the header only."""
    with client_of(ctx) as client:
        if schema:
            write_json(client.schema(entity))
        else:
            say(client.template(entity).rstrip("\r\n"))


def search(
    ctx: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words that the events must have.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ID", help="Only of this import.")] = None,
    level: Annotated[str | None, typer.Option(help="info, warning or error.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Such as row.failed.")] = None,
    code: Annotated[str | None, typer.Option(help="Such as INVALID_EMAIL.")] = None,
    status: Annotated[str | None, typer.Option(help="Of an import, or of a row.")] = None,
    row: Annotated[int | None, typer.Option(min=1, help="About this row.")] = None,
    record: Annotated[str | None, typer.Option(help="About rows with this id.")] = None,
    email: Annotated[str | None, typer.Option(help="About rows with this e-mail address.")] = None,
    entity: Annotated[str | None, typer.Option(help="Of this entity.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Then or later, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before then, ISO 8601.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Find what happened: to imports, chunks and rows, and to the account.

    Where there is more, the command for it is told; with --json it is the cursor in "next".
    """
    asked = {
        "text": text,
        "level": level,
        "type": type_,
        "code": code,
        "status": status,
        "row": row,
        "record_id": record,
        "email": email,
        "entity_type": entity,
        "since": since,
        "until": until,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    with client_of(ctx) as client:
        found, following = _events(client, action, limit, cursor, given)
    if as_json:
        write_json({"events": [event.raw for event in found], "next": following})
        return
    write_table(
        ("at", "level", "type", "import", "row", "message"),
        ((event.at, event.level, event.type, event.action_id, event.row, event.message) for event in found),
        empty="Nothing is found.",
    )
    _tell_next(ctx, following)


def _tell_next(ctx: typer.Context, cursor: str | None) -> None:
    if cursor is not None:
        note(f"There is more: {printable(command_with(ctx, cursor=cursor))}")


def _events(
    client: Client, action: str | None, limit: int, cursor: str | None, asked: Mapping[str, object]
) -> tuple[list[Event], str | None]:
    """Return so many events, and where to go on; a page may have few or none and be followed by others."""
    found: list[Event] = []
    while len(found) < limit:
        size = min(_PAGE, limit - len(found))
        page = client.search(action_id=action, limit=size, cursor=cursor, **asked)  # type: ignore[arg-type]
        found += page.events
        if (cursor := page.following) is None:
            break
    return found, cursor


def show_record(
    ctx: typer.Context,
    entity: _EntityType,
    record_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the record.")],
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Show a record, and which rows have created, changed and deleted it.

    Where there is more of its history, the command for it is told; with --json it is the cursor in "next".
    """
    with client_of(ctx) as client:
        record = client.record(entity, record_id, limit=min(limit, _PAGE), cursor=cursor)
    if as_json:
        write_json({**record.raw, "next": record.following})
        return
    if record.record is None:
        note("It was deleted.")
    else:
        write_fields(record.record.items())
    say("")
    write_table(
        ("at", "done", "import", "row", "file", "by"),
        (
            (change.at, change.code, change.action_id, change.row, change.file_name, change.by)
            for change in record.history
        ),
        empty="Nothing is known of how it came to be." if record.following is None else "Nothing so far.",
    )
    _tell_next(ctx, record.following)


def list_dead_letters(
    ctx: typer.Context,
    action: Annotated[str | None, typer.Option(metavar="ID", help="Only of this import.")] = None,
    status: Annotated[str | None, typer.Option(help="DEAD, REPLAYED while a replay runs, or DONE.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List what could not be carried out, the newest first."""
    with client_of(ctx) as client:
        letters = list(client.dead_letters(action_id=action, status=status, limit=limit + 1))
    more, letters = len(letters) > limit, letters[:limit]
    if as_json:
        write_json([letter.raw for letter in letters])
        return
    rows = [(letter.id, letter.kind, letter.status, letter.row_count, letter.at, letter.error) for letter in letters]
    write_table(("id", "kind", "status", "rows", "at", "error"), rows, empty="There are no dead letters.")
    if more:
        note("There are more: --limit shows more.")


def replay(
    ctx: typer.Context, letter_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the dead letter.")]
) -> None:
    """Run a dead letter again."""
    with client_of(ctx) as client:
        client.replay(letter_id)
    say("It is sent again; its status becomes DONE, or DEAD again with the reason.")
