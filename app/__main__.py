"""``python -m app``: the commands beside the worker."""

import gc

from app.cli.commands import cli

if __name__ == "__main__":
    # As for a worker: the modules that a command imports live for ever.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    cli()
