"""``python -m app``: the commands beside the worker."""

from app.cli.commands import cli

if __name__ == "__main__":
    cli()
