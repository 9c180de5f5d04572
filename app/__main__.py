"""Commands beside the worker: ``python -m app verify [ACTION_ID]``, ``… keys …`` and ``… storage …``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.adapters.storage import open_storage
from app.adapters.store import Store
from app.domain.actions import ENDED
from app.key_commands import keys
from app.logs import hide, redact_logs
from app.settings import get_settings
from app.storage_commands import storage_commands
from app.verification import verify

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The bulk operations platform.",
)
cli.add_typer(keys, name="keys")
cli.add_typer(storage_commands, name="storage")


@cli.callback()
def _main() -> None:
    """Commands beside the worker, which is started with: faust -A app worker."""


@cli.command("verify")
def verify_command(
    action_id: Annotated[str | None, typer.Argument(help="one action; without it, every ended one")] = None,
) -> None:
    """Recount actions from the file, the ledger and the records; exit 1 if anything differs."""
    raise typer.Exit(asyncio.run(_verify(action_id)))


async def _verify(action_id: str | None) -> int:
    settings = get_settings()
    redact_logs(settings)
    store = Store(settings.mongo_db_uri.get_secret_value())
    storage = open_storage(settings.storage_uri, settings.s3_client, store.storage_register)
    differences = actions = rows = 0
    try:
        await storage.check()
        if action_id is None:
            wanted = [action async for action in store.actions.of_statuses(sorted(ENDED))]
        else:
            action = await store.actions.get(action_id)
            if action is None:
                typer.echo(f"there is no action {action_id}")
                return 1
            wanted = [action]
        for action in wanted:
            actions, rows = actions + 1, rows + action["totalCount"]
            async for difference in verify(store, storage, action):
                differences += 1
                typer.echo(f"{action['_id']}: {difference}")
    except OSError as error:
        typer.echo(f"the storage cannot be used: {hide(error)}", err=True)
        return 2
    finally:
        await storage.close()
        await store.close()
    typer.echo(f"{actions} actions with {rows} rows verified, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    cli()
