"""Children, the pid file, locks and downloads; no services."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stack.downloads import Download, Lock, fetch
from stack.errors import Cancellation, Cancelled, StackError
from stack.process import Child, PidFile, run, tail
from stack.tools import Tool


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = ["sh", "-c", "echo; read line", str(tmp_path)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    # Popen returns before the kernel shows the new command line, by which a leftover is recognised.
    assert process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_leftover_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """A leftover is recognised and ended."""
    file = PidFile(tmp_path / "pid.json")
    file.write(sleeper.pid)
    assert file.end_leftover(within=5) == sleeper.pid
    assert sleeper.poll() is not None
    assert file.end_leftover(within=5) is None


def test_reused_pid_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """A stranger with the same process id is left alone."""
    path = tmp_path / "pid.json"
    PidFile(path).write(sleeper.pid)
    remembered = json.loads(path.read_text())
    path.write_text(json.dumps(remembered | {"started": remembered["started"] - 10}))
    assert PidFile(path).end_leftover(within=5) is None
    assert sleeper.poll() is None


def test_other_command_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """A process with another command line is left alone."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = PidFile(elsewhere / "pid.json")
    file.write(sleeper.pid)
    assert file.end_leftover(within=5) is None
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x", "started": 1}', '{"pid": 999999999, "started": 1}'])
def test_bad_pid_file_is_ignored(tmp_path: Path, content: str) -> None:
    """A pid file that says nothing useful is ignored."""
    path = tmp_path / "pid.json"
    path.write_text(content)
    assert PidFile(path).end_leftover(within=1) is None


def test_child_outlives_its_thread(tmp_path: Path) -> None:
    """A child keeps its process id, and outlives the thread that started it."""
    children: list[Child] = []

    def start() -> None:
        with (tmp_path / "log").open("wb") as output:
            children.append(Child(["sh", "-c", "echo $$; exec sleep 60"], output=output))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    (child,) = children
    while not (said := (tmp_path / "log").read_text().strip()):
        assert child.wait(0.01) is None
    assert int(said) == child.pid
    assert os.getsid(child.pid) == child.pid
    assert child.wait(0.2) is None, "it died with the thread"
    child.kill()
    assert child.poll() == -signal.SIGKILL


def test_stubborn_child_is_killed(tmp_path: Path) -> None:
    """A child that ignores the polite request is killed."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        child = Child(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], output=output)
    while "ready" not in log.read_text():
        assert child.wait(0.01) is None
    assert not child.stop(within=0.2)
    assert child.poll() == -signal.SIGKILL


def test_paused_child_can_be_stopped() -> None:
    """A paused child can still be stopped politely."""
    child = Child(["sleep", "60"])
    child.pause()
    assert psutil.Process(child.pid).status() == psutil.STATUS_STOPPED
    assert child.stop(within=10)


def test_child_has_default_signals(tmp_path: Path) -> None:
    """A child gets default signal handling."""
    with (tmp_path / "log").open("wb") as output:
        child = Child(["sh", "-c", "grep SigIgn /proc/self/status || echo SigIgn: 0"], output=output)
    child.wait(10)
    # Bit n - 1 is signal n. Signals 32 and 33 are the C library's own: whoever is above may have left them ignored,
    # and no program can change that.
    ignored = int((tmp_path / "log").read_text().split()[-1], 16)
    assert ignored & ~(0b11 << 31) == 0


def test_missing_program_is_named(tmp_path: Path) -> None:
    """A program that is not there is named."""
    with pytest.raises(StackError, match="cannot run no-such-program: No such file"):
        run(["no-such-program"], tmp_path / "log", Cancellation())


def test_failure_shows_own_output(tmp_path: Path) -> None:
    """A failing program shows the end of its own output only."""
    log = tmp_path / "log"
    log.write_text("of an earlier run\n")
    with pytest.raises(StackError, match=r"sh failed \(exit code 3\):\n    what went wrong$"):
        run(["sh", "-c", "echo what went wrong; exit 3"], log, Cancellation())


def test_download_can_be_given_up(tmp_path: Path) -> None:
    """A long download is given up when asked."""
    cancellation = Cancellation()
    threading.Timer(0.2, lambda: setattr(cancellation, "requested", True)).start()
    with pytest.raises(Cancelled):
        run(["sleep", "60"], tmp_path / "log", cancellation)


def test_the_tail_of_a_log_is_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(10_000)))
    assert tail(log, lines=2) == "    9998\n    9999"
    assert tail(tmp_path / "none") == ""


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A lock excludes others, and ends with its process."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from stack.downloads import Lock\n"
            "lock = Lock(pathlib.Path(sys.argv[1])); print(lock.acquire(), flush=True); input()",
            str(tmp_path / "lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    lock = Lock(tmp_path / "lock")
    assert not lock.acquire()
    holder.kill()
    holder.communicate()
    assert lock.acquire()
    assert lock.acquire()
    lock.release()


def download(tmp_path: Path, made: list[Path], fail: bool = False) -> Download:
    source = tmp_path / "source"
    source.write_text("version 1")

    def build(directory: Path, _log: Path, _cancellation: Cancellation) -> None:
        made.append(directory)
        (directory / "file").write_text("content")
        if fail:
            raise StackError("the network is down")

    return Download("thing", (source,), (), build)


def test_download_is_made_once(tmp_path: Path) -> None:
    """A download is made once by launchers that want it at once."""
    made: list[Path] = []
    wanted = download(tmp_path, made)
    library = tmp_path / "lib"
    threads = [threading.Thread(target=fetch, args=(wanted, library, Cancellation())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (wanted.path(library) / "file").read_text() == "content"


def test_other_tools_do_not_wait(tmp_path: Path) -> None:
    """Two downloads that different tools make are under way at once."""
    meet = threading.Barrier(2)

    def build(directory: Path, _log: Path, _cancellation: Cancellation) -> None:
        meet.wait(20)

    both = [Download(command, (), (Tool(command, package=command, brew=command),), build) for command in ("mvn", "go")]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda wanted: fetch(wanted, tmp_path, Cancellation()), both))
    assert all(directory.is_dir() for directory in made)


def test_broken_download_is_repeated(tmp_path: Path) -> None:
    """An interrupted download leaves nothing, and is made again."""
    library = tmp_path / "lib"
    (library / ".thing-abandoned.new").mkdir(parents=True)
    with pytest.raises(StackError, match="the network is down"):
        fetch(download(tmp_path, [], fail=True), library, Cancellation())
    assert [path.name for path in library.iterdir()] == [".lock"]
    assert fetch(download(tmp_path, []), library, Cancellation()).is_dir()


def test_downloads_differ_by_source(tmp_path: Path) -> None:
    """A download of other sources goes to another place."""
    wanted = download(tmp_path, [])
    before = wanted.path(tmp_path)
    (tmp_path / "source").write_text("version 2")
    assert wanted.path(tmp_path) != before
