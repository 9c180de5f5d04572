"""The main job on a sample file: start a worker, upload, watch, and check the totals against the file.

On a terminal it goes on serving until Ctrl-C; elsewhere it stops and exits with 0, or 1 when the totals are not
what the sample contains.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stack.samples import Sample

console = Console(highlight=False)

_START_TIMEOUT, _JOB_TIMEOUT = 60.0, 1800.0
_ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


def main(rows: int = typer.Option(10_000, min=100, help="rows of the sample file")) -> None:
    """Show the main job on a sample file."""
    directory = Path(".stack/demo")
    directory.mkdir(parents=True, exist_ok=True)
    sample = directory / "contacts.csv"
    expected = Sample(rows).write(sample)
    port = os.environ.get("PORT", "3000")
    base = f"http://127.0.0.1:{port}"
    log = directory / "worker.log"
    console.print(f"starting a worker on port {port} (its log: {log})")
    # Ended from outside, the worker is stopped as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exact = _show(base, sample, expected.counts(), worker, log)
            if sys.stdout.isatty():
                console.print("serving until Ctrl-C")
                worker.wait()
        except KeyboardInterrupt:
            exact = True
        finally:
            _stop(worker)
    raise typer.Exit(0 if exact else 1)


def _show(base: str, sample: Path, expected: dict[str, int], worker: subprocess.Popen[bytes], log: Path) -> bool:
    with httpx.Client(base_url=base, timeout=60) as client:
        _wait_ready(client, worker, log)
        console.print(f"uploading {sample} ({expected['totalCount']} rows)")
        with sample.open("rb") as file:
            answer = client.post(
                "/bulk-actions",
                data={"actionType": "BULK_UPDATE", "entityType": "Contact"},
                files={"file": (sample.name, file, "text/csv")},
            )
        if answer.status_code != 201:
            console.print(f"the upload was refused: {answer.text}")
            return False
        action = f"/bulk-actions/{answer.json()['actionId']}"
        stats = _watch(client, action)
        _print_stats(stats)
        _print_failures(client, action)
    exact = all(stats.get(name) == count for name, count in expected.items())
    console.print(
        "every row is accounted for, as the sample says"
        if exact
        else f"the totals are NOT what the sample contains: {expected}"
    )
    console.print(f"try:  curl {base}/bulk-actions\n      curl {base}{action}/stats\n      curl {base}/ready")
    console.print(f"the page, to import a file of your own:  {base}/")
    return exact


def _wait_ready(client: httpx.Client, worker: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            break
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    console.print(f"the worker did not become ready; the end of its log:\n{tail}", markup=False)
    raise typer.Exit(1)


def _watch(client: httpx.Client, action: str) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = time.monotonic() + _JOB_TIMEOUT
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("QUEUED", total=None)
        while True:
            stats: dict[str, Any] = client.get(f"{action}/stats").json()
            progress.update(
                task,
                description=stats["status"],
                total=stats["totalCount"],
                completed=stats["processedCount"],
            )
            if stats["status"] in _ENDED or time.monotonic() > deadline:
                return stats
            time.sleep(0.2)


def _print_stats(stats: dict[str, Any]) -> None:
    table = Table("counter", "value", title="what became of the rows")
    for name, value in stats.items():
        table.add_row(name, str(value))
    console.print(table)


def _print_failures(client: httpx.Client, action: str) -> None:
    table = Table("row", "code", "column", "message", title="the first rows that failed")
    for record in client.get(f"{action}/records", params={"status": "FAILED", "limit": 5}).json():
        table.add_row(str(record["row"]), record["code"], record.get("column") or "", record["message"])
    console.print(table)


def _stop(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(timeout=30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


if __name__ == "__main__":
    typer.run(main)
