"""Downloads, made once and shared by all data directories of the project."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stack.errors import Cancellation, StackError
from stack.process import run
from stack.tools import Tool, can_install, install

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent / ".stack" / "lib"
POM = HERE / "pom.xml"

Build = Callable[[Path, Path, Cancellation], None]
"""Fills a directory, given a log file; may be cancelled."""


@dataclass(frozen=True)
class Download:
    """Files that are fetched or built once: a name, what they depend on, the tools it takes, and how."""

    name: str
    sources: tuple[Path, ...]
    tools: tuple[Tool, ...]
    build: Build

    def path(self, library: Path) -> Path:
        """Return where it is, or will be; another place once the sources say something else."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(source.read_bytes())
        return library / f"{self.name}-{digest.hexdigest()[:12]}"

    @property
    def lock(self) -> str:
        """The name of the file that those hold who make it: one at a time of those that the same tools make."""
        return ".".join(("", *(tool.command for tool in self.tools), "lock"))

    def present(self, library: Path) -> bool:
        """Tell whether it is complete."""
        return self.path(library).is_dir()


def fetch(download: Download, library: Path, cancellation: Cancellation) -> Path:
    """Return the directory of a download, and make it first if it is not there.

    Safe when several launchers do it at once and when one is killed in the middle. Raises StackError when it fails.
    """
    finished = download.path(library)
    if finished.is_dir():
        return finished
    log = library / f"{download.name}.log"
    # Maven must not write one artifact twice at once; what other tools fetch is no affair of its.
    with exclusive(library / download.lock, cancellation):
        if finished.is_dir():
            return finished
        for abandoned in library.glob(f".{download.name}-*.new"):
            shutil.rmtree(abandoned, ignore_errors=True)
        log.unlink(missing_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{download.name}-", suffix=".new", dir=library))
        try:
            download.build(temporary, log, cancellation)
            temporary.chmod(0o755)
            temporary.rename(finished)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return finished


def provide(
    tools: Sequence[Tool],
    download: Download | None,
    library: Path,
    cancellation: Cancellation,
    say: Callable[[str], None],
) -> Path | None:
    """Provide the tools that a program runs with and its download; return where the download is.

    Raises StackError when a tool is missing and cannot be installed, or when a download fails.
    """
    fetching = download is not None and not download.present(library)
    needed = tuple(dict.fromkeys((*tools, *(download.tools if download and fetching else ()))))
    if missing := [tool for tool in needed if not tool.present()]:
        if not can_install():
            raise StackError("; ".join(f"{tool.command}: {tool.problem()}" for tool in missing))
        say(f"installing {', '.join(tool.package for tool in missing)}")
        with exclusive(library / ".tools.lock", cancellation):
            install(missing, library / "install.log", cancellation)
    if download is None:
        return None
    if fetching:
        # Looked at only here because it takes a moment; a start that follows needs the same versions.
        for tool in needed:
            if problem := tool.problem():
                raise StackError(f"{tool.command}: {problem}")
        say("downloading (only this once)")
    return fetch(download, library, cancellation)


def maven(profile: str) -> Build:
    """Build by copying the artifacts of one profile of pom.xml, with all they need at run time."""

    def build(directory: Path, log: Path, cancellation: Cancellation) -> None:
        arguments = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}")
        run(("mvn", "-B", "-q", "-f", str(POM), "-P", profile, *arguments), log, cancellation, directory)

    return build


def maven_and_compile(profile: str, sources: Sequence[Path]) -> Build:
    """Build as `maven` does, and compile Java sources against the artifacts.

    The compiler is among the artifacts: a Java runtime is enough, and starting costs no compilation.
    """
    copy = maven(profile)

    def build(directory: Path, log: Path, cancellation: Cancellation) -> None:
        copy(directory, log, cancellation)
        compiler = ("java", "-cp", f"{directory}/*", "org.eclipse.jdt.internal.compiler.batch.Main")
        run((*compiler, "-17", "-proc:none", "-d", str(directory), *map(str, sources)), log, cancellation, directory)
        for jar in directory.glob("ecj-*.jar"):
            jar.unlink()

    return build


def go(package: str) -> Build:
    """Build by compiling one program of a Go module, given as `package@version`."""

    def build(directory: Path, log: Path, cancellation: Cancellation) -> None:
        run(("env", f"GOBIN={directory}", "go", "install", package), log, cancellation, directory)

    return build


def npm(package: str) -> Build:
    """Build by installing one package of npm, given as `name@version`; its programs are in `node_modules/.bin`."""

    def build(directory: Path, log: Path, cancellation: Cancellation) -> None:
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
        run(("npm", "install", *quiet, "--prefix", str(directory), package), log, cancellation, directory)

    return build


class Lock:
    """A lock between processes, which ends with the process that holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it, or if we have it already; tell whether we have it."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._file = file
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextlib.contextmanager
def exclusive(path: Path, cancellation: Cancellation) -> Iterator[None]:
    """Wait for a lock between processes and hold it. Raises Cancelled when asked to give up."""
    lock = Lock(path)
    while not lock.acquire():
        cancellation.check()
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()
