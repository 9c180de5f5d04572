"""``python -m app``: the commands beside the worker."""

from app.cli.commands import cli
from app.observability.process import quieten_garbage_collector

if __name__ == "__main__":
    # Before a command imports what it needs.
    quieten_garbage_collector()
    cli()
