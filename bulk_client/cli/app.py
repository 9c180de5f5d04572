"""The command, put together."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from bulk_client.cli import actions, imports, lookups
from bulk_client.cli.base import Options, examples

app = typer.Typer(
    name="bulk",
    no_args_is_help=True,
    # What is not known of a fault is told by Python itself, without the values of variables: one may be a key.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=examples("bulk --url https://bulk.example.com list", "bulk import --help"),
)
imports.add_to(app)
actions.add_to(app)
lookups.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bulk {version('bulk-operations')}")
        raise typer.Exit


@app.callback()
def _main(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(help="Of the server [BULK_URL; http://localhost:3000].")] = None,
    profile: Annotated[str | None, typer.Option(help="A part of the profile file [BULK_PROFILE; default].")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file with the key, in the place of BULK_API_KEY.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="The account, where the server asks for no key [BULK_ACCOUNT].")
    ] = None,
    ca_file: Annotated[str | None, typer.Option(help="Certificates to trust, PEM [BULK_CA_FILE].")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for an answer [BULK_TIMEOUT; 60].")] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Import files of rows into the bulk operations platform, and see what became of them.

    \b
    Exit codes: 0 all rows good, 1 the command failed, 2 it cannot be read,
    3 some rows failed, 4 the server has refused it.
    """
    ctx.obj = Options(url, profile, api_key_file, account, ca_file, timeout)


def run() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the encoding of the terminal does not have is written as an escape, and is no fault.
            stream.reconfigure(errors="backslashreplace")
    app()
