"""The command that recounts what was done: ``python -m app verify``."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.adapters.mongo import Store
from app.adapters.storage import open_storage
from app.domain.faults import DependencyFault
from app.observability.logs import hide, redact_logs
from app.services.verification import verify
from app.settings import get_settings

commands = typer.Typer()

_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
#: Between two lines about the progress, seconds.
_PROGRESS_INTERVAL = 2.0


@commands.command("verify")
def verify_command(
    action_id: Annotated[str | None, typer.Argument(help="one action; without it, every ended one")] = None,
    account: Annotated[str | None, typer.Option(help="those of one account only")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="those made since a date or time (UTC) only", formats=_DATES)
    ] = None,
) -> None:
    """Recount actions from the file, the ledger and the records; exit 1 if anything differs."""
    raise typer.Exit(asyncio.run(_verify(action_id, account, since and since.replace(tzinfo=UTC))))


class _Progress:
    """Says on standard error, now and then, how far it has come: the differences stay alone on standard output."""

    def __init__(self, actions: int, rows: int) -> None:
        self._actions, self._rows = actions, rows
        self._action = self._row = 0
        self._said = time.monotonic()

    def action(self) -> None:
        """Begin the next action."""
        self._action += 1

    def rows(self, count: int) -> None:
        """Count rows that were compared."""
        self._row += count
        if time.monotonic() - self._said >= _PROGRESS_INTERVAL:
            self._said = time.monotonic()
            typer.echo(f"action {self._action:,} of {self._actions:,}, row {self._row:,} of {self._rows:,}", err=True)


async def _verify(action_id: str | None, account: str | None, since: datetime | None) -> int:
    settings = get_settings()
    redact_logs(settings)
    store = Store(settings.mongo_db_uri.get_secret_value())
    storage = open_storage(settings.storage_uri, settings.s3_client, store.storage_register)
    differences = 0
    try:
        await storage.check()
        if action_id is None:
            wanted = [action async for action in store.actions.ended(account_id=account, since=since)]
        else:
            action = await store.actions.find(action_id)
            if action is None or action.deleting:
                typer.echo(f"there is no action {action_id}" + (": it is being deleted" if action else ""))
                return 1
            wanted = [action]
        rows = sum(action.total_count for action in wanted)
        progress = _Progress(len(wanted), rows)
        for action in wanted:
            progress.action()
            async for difference in verify(store, storage, action, progress.rows):
                if await store.actions.get(action.id) is None:
                    typer.echo(f"{action.id}: deleted while it was verified")
                    break
                differences += 1
                typer.echo(f"{action.id}: {difference}")
    except DependencyFault as error:
        typer.echo(f"the database cannot be used: {hide(error)}", err=True)
        return 2
    except OSError as error:
        typer.echo(f"the storage cannot be used: {hide(error)}", err=True)
        return 2
    finally:
        await storage.close()
        await store.close()
    typer.echo(f"{len(wanted)} actions with {rows} rows verified, {differences} differences")
    return 1 if differences else 0
