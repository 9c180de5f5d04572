"""The progress of an import: a bar on a terminal, now and then a line where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from bulk_client.cli.output import console, note
from bulk_client.models import Statistics

#: Seconds between two lines where there is no terminal.
_EVERY = 10.0


class _Field(ProgressColumn):
    """What the server says of an import."""

    def __init__(self, name: str, style: str) -> None:
        super().__init__()
        self._name, self._style = name, style

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get(self._name, "")), style=self._style)


def time_left(seconds: float | None) -> str:
    """Return a duration for a person; nothing where it is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


class _OnTerminal:
    """A bar on standard error that is shown where that is a terminal."""

    def __init__(self, *columns: ProgressColumn, transient: bool = False) -> None:
        self._console = console(errors=True)
        self._bar = Progress(*columns, console=self._console, transient=transient)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Without a terminal it was never started; to stop it would write an empty line.
        if self._console.is_terminal:
            self._bar.stop()


class WatchProgress(_OnTerminal):
    """Shows how an import goes on, on standard error."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Field("rows", "progress.download"),
            _Field("speed", "progress.data.speed"),
            _Field("left", "progress.remaining"),
        )
        self._task = self._bar.add_task("waiting", total=None)
        self._said = ("", 0.0)

    def show(self, counters: Statistics) -> None:
        """Show the counters as they are now."""
        done, total = counters.processed_count, counters.total_count
        rows = f"{done:,} rows" if total is None else f"{done:,}/{total:,} rows"
        speed, left = f"{counters.rows_per_second:,.0f} rows/s", time_left(counters.eta_seconds)
        if self._console.is_terminal:
            self._bar.update(
                self._task,
                description=counters.status.lower(),
                total=total,
                completed=done,
                rows=rows,
                speed=speed,
                left=left,
            )
            return
        status, at = self._said
        if counters.status != status or time.monotonic() - at >= _EVERY:
            self._said = (counters.status, time.monotonic())
            note(", ".join(part for part in (counters.status, rows, speed, left) if part))


class UploadProgress(_OnTerminal):
    """Shows how much of a file has been sent, on a terminal."""

    def __init__(self, size: int) -> None:
        super().__init__(TextColumn("uploading", markup=False), BarColumn(), DownloadColumn(), transient=True)
        self._task = self._bar.add_task("uploading", total=size)

    def sent(self, size: int) -> None:
        """Show that so many bytes have been sent."""
        self._bar.update(self._task, completed=size)
