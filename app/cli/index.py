"""The command about the index of events: ``python -m app index rebuild``."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import typer

from app.adapters.mongo import Store
from app.domain.faults import DependencyFault
from app.observability.logs import hide, redact_logs
from app.settings import get_settings

commands = typer.Typer(name="index", no_args_is_help=True, help="The index of events in Elasticsearch.")


@commands.callback()
def _index() -> None:
    """The index of events in Elasticsearch."""


@commands.command("rebuild")
def rebuild_command() -> None:
    """Let the workers index every action again, as into an index that is empty; what is there is written over."""
    redact_logs(settings := get_settings())

    async def rebuild() -> int:
        store = Store(settings.mongo_db_uri.get_secret_value())
        try:
            now = datetime.now(UTC)
            await store.events.index_again(now)
            return await store.index_queue.forget(now)
        except DependencyFault as error:
            sys.exit(f"the database cannot be reached: {hide(error)}")
        finally:
            await store.close()

    typer.echo(f"{asyncio.run(rebuild())} actions are to be indexed, by the workers that have an Elasticsearch")
