"""The commands beside the worker: ``python -m app verify …``, ``keys …``, ``storage …``, ``claims …``, …"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: Each has a module of its name beside this one, with its ``commands``.
_NAMES: Final = ("doctor", "verify", "keys", "storage", "claims", "index")


class _Commands(TyperGroup):
    """Imports a command when it is asked for: most of the time that one takes would go into importing the others."""

    # Typer has a copy of click of its own, with types that it does not name.
    def list_commands(self, ctx: Any) -> list[str]:
        return list(_NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _NAMES:
            return None
        return typer.main.get_command(import_module(f"app.cli.{cmd_name}").commands)


cli = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The bulk operations platform.",
)


@cli.callback()
def _main() -> None:
    """Commands beside the worker, which is started with: faust -A app worker."""
