"""The commands that show which storage is in use, and say that another one is: ``python -m app storage …``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer

from app.adapters.mongo import Store
from app.adapters.storage import IdentifiedStorage, open_storage
from app.domain.faults import DependencyFault
from app.observability.logs import hide, redact_logs
from app.settings import get_settings

commands = typer.Typer(name="storage", no_args_is_help=True, help="The storage: whether it is the right one.")


@asynccontextmanager
async def _open_storage() -> AsyncIterator[IdentifiedStorage]:
    redact_logs(settings := get_settings())
    store = Store(settings.mongo_db_uri.get_secret_value())
    storage = open_storage(settings.storage_uri, settings.s3_client, store.storage_register)
    try:
        yield storage
    except DependencyFault as error:
        sys.exit(f"the database cannot be reached: {hide(error)}")
    except OSError as error:
        sys.exit(f"the storage cannot be used: {hide(error)}")
    finally:
        await storage.close()
        await store.close()


@commands.command("check")
def check_command() -> None:
    """Tell whether STORAGE_URI leads to the storage that the database knows; exit 1 if it does not."""

    async def check() -> None:
        async with _open_storage() as storage:
            await storage.check()
            typer.echo("the storage is the one that the database knows")

    asyncio.run(check())


@commands.command("adopt")
def adopt_command() -> None:
    """Say that the storage at STORAGE_URI is the right one from now on, and the one before is not any more."""

    async def adopt() -> None:
        async with _open_storage() as storage:
            typer.echo(f"the database now knows this storage, {await storage.adopt()}")

    asyncio.run(adopt())
