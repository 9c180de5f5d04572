"""Pictures of the dashboard for the documents: `python -m tests.support.screenshots [--only import,actions]`.

Starts services and a worker of its own, gives them something to show, and writes each page of :data:`PICTURES` in two
widths into docs/images. It fails where a page has an error, as a test would.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pymongo
import typer
from playwright.sync_api import Page

from app.domain.access import DEFAULT_ACCOUNT, Role
from stack import Options, Stack
from stack.clients import CHROMIUM
from stack.errors import Cancellation
from stack.samples import Sample
from tests.support.browsing import HEIGHT, NARROW, WIDTH, Chromium, Watch, expect, sign_in, upload
from tests.support.factories import dead_letter_document
from tests.support.namespaces import namespace
from tests.support.paths import ROOT
from tests.support.secured import Guarded
from tests.support.workers import Worker

IMAGES = ROOT / "docs" / "images"

#: A file as people have them: of another delimiter, another encoding and other words; two rows are wrong.
CUSTOMERS = "\r\n".join(
    (
        "Kundennummer;Name;E-Mail-Adresse;Status;Notiz",
        "K-1001;Jürgen Müller;juergen.mueller@example.com;active;ruft zurück",
        "K-1002;Zoë García;zoe@example.com;inactive;",
        "K-1003;Björn Sørensen;bjoern at example.com;active;",
        "K-1004;Émile Novák;emile@example.com;maybe;Messe 2026",
        *(f"K-{number};Ada Lee {number};ada.{number}@example.com;active;" for number in range(1005, 1400)),
        "",
    )
).encode("windows-1252")


@dataclass(frozen=True)
class Shown:
    """What there is to show: ids of actions."""

    worker: Worker
    ended: str
    long: str


@dataclass(frozen=True)
class Picture:
    """A page to be taken: the name of its files, its address, and what is done in it first."""

    name: str
    address: str
    prepare: Callable[[Page, Shown], None] | None = None
    signed_in: bool = True
    dark: bool = False


def _choose_file(page: Page, _shown: Shown) -> None:
    upload(page, ("kunden-2026.csv", CUSTOMERS))
    expect(page.get_by_text("juergen.mueller@example.com", exact=True)).to_be_visible()


def _let_run(page: Page, shown: Shown) -> None:
    """Have the long import begin, and look at it for a while, which draws the plot of its speed."""
    now = {"scheduledAt": None}
    shown.worker.client.patch(f"/bulk-actions/{shown.long}", json=now).raise_for_status()
    shown.worker.wait_processed(shown.long, more_than=60_000, timeout=300)
    expect(page.locator(".status.processing").first).to_be_visible()


#: Every page of the documents, in this order; what is named in braces is an attribute of what there is to show.
PICTURES = (
    Picture("sign-in", "#/", signed_in=False),
    Picture("import", "#/import", _choose_file, dark=True),
    Picture("action", "#/actions/{ended}"),
    Picture("running", "#/actions/{long}", _let_run, dark=True),
    # With the one that is still running.
    Picture("imports", "#/actions"),
    Picture("search", "#/search?q=INVALID_EMAIL"),
    Picture("record", "#/records/Contact/c1"),
    Picture("dead-letters", "#/dead-letters"),
    Picture("keys", "#/keys"),
    Picture("workers", "#/workers"),
)


def fill(guarded: Guarded, directory: Path) -> Shown:
    """Give the account something of everything that the pages show."""
    worker = guarded.worker
    ended = written(directory / "contacts.csv", Sample(20_000, invalid=0.01, duplicates=0.01))
    long = written(directory / "newsletter.csv", Sample(300_000, prefix="n", invalid=0.002, duplicates=0.002))
    shown = Shown(worker, worker.submit(ended), worker.submit(long, scheduledAt=in_days(1)))
    worker.wait_ended(shown.ended)
    corrected = written(directory / "contacts-corrected.csv", Sample(1_000, invalid=0.0, name_suffix=" Jr."))
    worker.wait_ended(worker.submit(corrected, actionType="BULK_PATCH"))
    for name, days in (("trade-fair.csv", 3), ("spring-campaign.csv", 2)):
        waiting = written(directory / name, Sample(2_500, prefix=name[0]))
        last = worker.submit(waiting, scheduledAt=in_days(days))
        if days == 3:
            worker.client.post(f"/bulk-actions/{last}/cancel").raise_for_status()
    for name, role in (("nightly sync", Role.OPERATOR), ("reports", Role.VIEWER)):
        guarded.key(DEFAULT_ACCOUNT, role, name=name)
    letter = dead_letter_document(
        _id="chunks:0:17",
        accountId=DEFAULT_ACCOUNT,
        actionId=shown.ended,
        error="The file of the action could not be read.",
        firstFailure=datetime.now(UTC).isoformat(timespec="milliseconds"),
        origin={"topic": guarded.environment["KAFKA_TOPIC"], "partition": 0, "offset": 17},
        retryCount=5,
        index=17,
        firstRow=17_001,
        rowCount=1000,
        complete=True,
        at=datetime.now(UTC),
    )
    with pymongo.MongoClient[dict[str, Any]](guarded.environment["MONGO_DB_URI"]) as client:
        client.get_default_database()["dead_letters"].insert_one(letter)
    return shown


def written(path: Path, sample: Sample) -> Path:
    sample.write(path)
    return path


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@contextmanager
def started(directory: Path) -> Iterator[Guarded]:
    """Services, and two workers that ask for keys."""
    options = Options(mongo_in_memory=True, mongo_heap="2g")
    with Stack(directory / "stack", services=("kafka", "mongo", "redis"), ports="free", options=options) as stack:
        environment = {**namespace(stack, directory), "AUTH_MODE": "required"}
        workers = [Worker(environment, directory / name) for name in ("first", "second")]
        try:
            for worker in workers:
                worker.launch()
            for worker in workers:
                worker.wait_ready()
            yield Guarded(workers[0], environment)
        finally:
            for worker in workers:
                worker.stop()
                worker.client.close()


def take(watch: Watch, picture: Picture, shown: Shown, key: str) -> Iterator[Path]:
    """Take one page in both widths; the files."""
    page = watch.open()
    page.goto(f"{shown.worker.url}/{picture.address.format(**vars(shown))}")
    if picture.signed_in:
        sign_in(page, key)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if picture.prepare is not None:
        picture.prepare(page, shown)
    expect(page.locator(".loading")).to_have_count(0)
    schemes = ("light", "dark") if picture.dark else ("light",)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        for width, height in ((WIDTH, HEIGHT), (NARROW, 740)):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("() => window.scrollTo(0, 0)")
            file = IMAGES / f"{picture.name}-{width}{'-dark' if scheme == 'dark' else ''}.png"
            page.screenshot(path=file, animations="disabled", caret="hide")
            yield file
    watch.check()
    page.close()


def shrink(file: Path) -> None:
    """Reduce a picture to 128 colours, which takes a third of the space, where Pillow is there."""
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(file) as picture:
        # This method keeps the colours of small things, and one round of k-means those of large ones.
        small = picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    small.save(file, optimize=True)


cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(only: Annotated[str, typer.Option(help="names of pages, comma-separated; empty: all")] = "") -> None:
    """Take the pictures of the dashboard."""
    names = set(only.split(",")) if only else {picture.name for picture in PICTURES}
    if unknown := names - {picture.name for picture in PICTURES}:
        raise typer.BadParameter(f"no such page: {', '.join(sorted(unknown))}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    taken: set[Path] = set()
    with tempfile.TemporaryDirectory() as temporary, started(Path(temporary)) as guarded:
        key = guarded.key(DEFAULT_ACCOUNT, Role.ADMIN, name="Ada Lee")
        guarded.worker.client.headers["X-API-Key"] = key
        shown = fill(guarded, Path(temporary))
        chromium = Chromium(CHROMIUM.provide(Cancellation()))
        with chromium.in_use() as browser:
            watch = Watch(browser)
            for picture in PICTURES:
                if picture.name in names:
                    for file in take(watch, picture, shown, key):
                        shrink(file)
                        taken.add(file)
                        print(f"{file.relative_to(ROOT)} {file.stat().st_size // 1000} kB", flush=True)
            watch.close()
        chromium.close()
    if not only:
        for file in IMAGES.glob("*.png"):
            if re.search(r"-\d+(-dark)?$", file.stem) and file not in taken:
                file.unlink()


if __name__ == "__main__":
    cli()
