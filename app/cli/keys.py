"""The commands that make, list and revoke API keys: ``python -m app keys …``."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.adapters.mongo import Store
from app.domain.access import Role, check_account
from app.domain.account_events import Happening, key_made, key_revoked
from app.domain.api_keys import ApiKey, fit_key_name, parse_expiry
from app.domain.faults import DependencyFault
from app.domain.printable import printable
from app.domain.timestamps import iso_utc
from app.observability.audit import audit, send_audit_log, show_audit_log
from app.observability.logs import hide, redact_logs
from app.services.api_keys import MadeKey, NoSuchKey, TooManyKeys, make_key, revoke_key
from app.settings import get_settings

commands = typer.Typer(name="keys", no_args_is_help=True, help="API keys: make, list and revoke them.")


@asynccontextmanager
async def _open_store() -> AsyncIterator[Store]:
    redact_logs(settings := get_settings())
    try:
        show_audit_log(settings.log_format) if settings.audit_log is None else send_audit_log(settings.audit_log)
    except OSError as error:
        sys.exit(f"AUDIT_LOG cannot be used: {error.strerror}: {settings.audit_log}")
    store = Store(settings.mongo_db_uri.get_secret_value())
    try:
        yield store
    except DependencyFault as error:
        sys.exit(f"the database cannot be reached: {hide(error)}")
    except TimeoutError:
        sys.exit("the database is too busy, please try again")
    finally:
        await store.close()


async def _note(store: Store, happening: Happening) -> None:
    """Store what was done as an event of the account. It is done all the same where this fails."""
    now, retention = datetime.now(UTC), get_settings().events_retention
    with suppress(DependencyFault):
        await store.events.add(happening.event(now, 1), None if retention is None else now + retention)


def _who() -> dict[str, str]:
    """Return who has given a command, and on which machine."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        # There need not be a name to a number, in a container.
        name = f"user {os.getuid()}"
    return {"by": name, "source": socket.gethostname()}


@commands.command("create")
def create_command(
    account: Annotated[str, typer.Option(help="the account whose things the key opens")],
    role: Annotated[Role, typer.Option(help="what may be done with it")],
    expires: Annotated[
        str | None, typer.Option(help="90d, 12h or 2030-01-31T09:00:00Z; without it, never", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="a word for whoever reads the list", show_default=False)] = "",
) -> None:
    """Make a key. It alone goes to standard output, this once; only its hash is kept."""
    now = datetime.now(UTC)
    try:
        account = check_account(account)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--account") from None
    try:
        expires_at = parse_expiry(expires, now) if expires is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
    made = asyncio.run(_make(account, role, fit_key_name(name), expires_at))
    until = f"until {iso_utc(expires_at)}" if expires_at else "until it is revoked"
    typer.echo(f"key {made.key.id}: {role} of {account}, {until}; it is shown this once:", err=True)
    typer.echo(made.secret)


async def _make(account: str, role: Role, name: str, expires_at: datetime | None) -> MadeKey:
    most, by = get_settings().max_api_keys_per_account, _who()["by"]
    async with _open_store() as store:
        try:
            made = await make_key(store, account, role, name=name, expires_at=expires_at, by=by, most=most)
        except TooManyKeys:
            reason = f"the account has {most} active keys, as many as MAX_API_KEYS_PER_ACCOUNT allows: revoke one first"
            audit("keys create", "refused", account=account, role=str(role), reason=reason, **_who())
            typer.echo(reason, err=True)
            raise typer.Exit(1) from None
        key = made.key
        fields = {
            "account": key.account_id,
            "role": str(key.role),
            "expires": iso_utc(key.expires_at),
            "name": key.name,
        }
        audit("keys create", "done", key=key.id, **fields, **_who())
        await _note(store, key_made(key.account_id, key.id, key.role, by))
    return made


@commands.command("list")
def list_command(
    account: Annotated[str | None, typer.Option(help="only keys of this account", show_default=False)] = None,
) -> None:
    """List the keys, oldest first: id, state, account, role, when made, until when, name; between them tabs."""
    now = datetime.now(UTC)
    for key in asyncio.run(_all(account)):
        timestamps = iso_utc(key.created_at), iso_utc(key.expires_at) or "-"
        typer.echo("\t".join([key.id, key.state(now), key.account_id, key.role, *timestamps, key.name]))


async def _all(account: str | None) -> list[ApiKey]:
    async with _open_store() as store:
        return await store.api_keys.all(account)


@commands.command("revoke")
def revoke_command(key_id: Annotated[str, typer.Argument(help="the id that the list shows", metavar="ID")]) -> None:
    """Make a key open nothing any more, within API_KEY_CACHE seconds on every worker; exit 1 if there is none."""
    raise typer.Exit(asyncio.run(_revoke(key_id)))


async def _revoke(key_id: str) -> int:
    async with _open_store() as store:
        by = _who()["by"]
        try:
            revoked = await revoke_key(store, key_id, by=by)
        except NoSuchKey:
            audit("keys revoke", "refused", key=printable(key_id, 100), reason="there is no such key", **_who())
            typer.echo(f"there is no key {key_id}", err=True)
            return 1
        if not revoked.new:
            typer.echo(f"key {key_id} was revoked before", err=True)
            return 0
        key = revoked.key
        audit("keys revoke", "done", key=key_id, account=key.account_id, role=str(key.role), **_who())
        await _note(store, key_revoked(key.account_id, key_id, by))
    typer.echo(f"key {key_id} is revoked; workers that have just used it take it for API_KEY_CACHE seconds more")
    return 0
