"""``python -m benchmarks.profile``: a flame graph of a worker under load, drawn by py-spy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import contenders
from benchmarks.bed import Bed
from benchmarks.end_to_end import CLEAN
from stack.samples import Sample


def main(
    rows: Annotated[int, typer.Option(help="rows of the file")] = 500_000,
    out: Annotated[Path, typer.Option(help="where the graph goes")] = Path("build/benchmarks/profile.svg"),
) -> None:
    """Run a large action while py-spy samples what holds the interpreter."""
    out.parent.mkdir(parents=True, exist_ok=True)
    sample = Sample(rows, **CLEAN)
    with Bed() as bed:
        path = bed.directory / "rows.csv"
        sample.write(path)
        worker = bed.start_worker()
        contenders.platform(bed, sample, path)  # warm
        bed.database["contacts"].drop()
        assert worker.process is not None
        spy = Path(sys.executable).with_name("py-spy")
        command = [str(spy), "record", "--gil", "--rate", "250", "--output", str(out), "--pid", str(worker.process.pid)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as recording:  # noqa: S603  our own list of arguments, no shell
            contenders.platform(bed, sample, path)
            recording.send_signal(2)
    typer.echo(f"the flame graph is in {out}")


typer.run(main)
