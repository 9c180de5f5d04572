"""Record the terminal session of the README: ``python -m tests.support.record_session``.

A real worker on real services, the real command, a shell in which it is typed. What came out is written to
``docs/images``: the session as asciicast v2, for players, and the picture that is made of it. ``--draw`` makes the
picture anew, of the session that is there.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from pathlib import Path

from stack import Options, Stack
from stack.samples import Sample
from tests.support.animated_svg import animated_svg
from tests.support.casts import Cast
from tests.support.command_line import environment
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.terminals import Terminal
from tests.support.workers import Worker

CAST = ROOT / "docs/images/session.cast"
PICTURE = CAST.with_suffix(".svg")

#: Rows of the file: some seconds of a bar.
_ROWS = 60_000
_WIDTH, _HEIGHT = 94, 22
#: The rows with mistakes, all at the beginning of the file so that any number of rows has the same.
_NO_ADDRESS, _NO_STATUS = (204, 388), (596, 871)


def write_contacts(path: Path, rows: int) -> None:
    """Write contacts, of which four have a mistake that people make."""
    Sample(rows, seed=14, invalid=0, duplicates=0, multiline=0).write(path)
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    for number in _NO_ADDRESS:
        lines[number - 1][2] = lines[number - 1][2].replace("@", " at ")
    for number in _NO_STATUS:
        lines[number - 1][3] = "aktive"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def record(worker: Worker, directory: Path, rows: int = _ROWS) -> Cast:
    """Record the session.

    Args:
        worker: A worker that is ready.
        directory: Of the session, empty.
        rows: Of the file that is imported.
    """
    write_contacts(directory / "contacts.csv", rows)
    cast = Cast(_WIDTH, _HEIGHT, "Import a file with bulk, correct what failed, import it again")
    settings = environment(worker, HOME=str(directory))
    with Terminal(cast, settings, directory) as terminal:
        told = terminal.run("bulk import contacts.csv --watch", ends=3, read_for=1.8)
        found = re.search(r"Import ([0-9a-f]{24}) is QUEUED", told)
        assert found, told
        terminal.run(f"bulk failures {found[1]}", read_for=2.2)
        terminal.run(f"bulk results {found[1]} --failed -o failed.csv", read_for=0.8)
        terminal.run("sed -i 's/ at /@/; s/aktive/active/' failed.csv", read_for=0.5)
        terminal.run("bulk import failed.csv --watch", read_for=0)
    return cast


def main() -> None:
    """Record the session, or draw it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--draw", action="store_true", help="draw the session that is there")
    if not options.parse_args().draw:
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            with Stack(
                place / "stack",
                services=("kafka", "mongo", "redis"),
                ports="free",
                options=Options(mongo_in_memory=True),
            ) as stack:
                worker = Worker(namespace(stack, place), place / "worker").start()
                try:
                    (place / "session").mkdir()
                    cast = record(worker, place / "session")
                finally:
                    worker.kill()
        CAST.write_text(cast.to_text(), encoding="utf-8")
    PICTURE.write_text(animated_svg(Cast.read(CAST)), encoding="utf-8")
    for file in (CAST, PICTURE):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
