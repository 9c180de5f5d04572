"""The command that has the claims of actions under way rebuilt: ``python -m app claims rebuild``."""

from __future__ import annotations

import asyncio
import sys

import typer

from app.adapters.mongo import Store
from app.adapters.redis.store import RedisStore
from app.domain.faults import DependencyFault
from app.observability.logs import hide, redact_logs
from app.services.claim_recovery import forget_claims
from app.settings import get_settings

commands = typer.Typer(name="claims", no_args_is_help=True, help="De-duplication claims of actions under way.")


@commands.callback()
def _main() -> None:
    """Keep `rebuild` a command of its own, although it is the only one."""


@commands.command("rebuild")
def rebuild_command() -> None:
    """Have the claims of all actions under way rebuilt from the ledger, by the first worker that starts.

    For a Redis that has lost what it had, or a database that was restored. No worker may run meanwhile.
    """
    typer.echo(f"the claims of {asyncio.run(_forget())} actions will be rebuilt when a worker starts")


async def _forget() -> int:
    settings = get_settings()
    redact_logs(settings)
    store = Store(settings.mongo_db_uri.get_secret_value())
    redis = RedisStore(
        settings.redis_uri.get_secret_value(), namespace=settings.kafka_topic, claims_ttl=settings.dedupe_ttl
    )
    try:
        return await forget_claims(store.actions, redis.claims)
    except DependencyFault as error:
        sys.exit(f"a service cannot be reached: {hide(error)}")
    finally:
        await redis.close()
        await store.close()
