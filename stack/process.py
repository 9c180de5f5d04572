"""Child processes that never outlive the launcher, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import psutil

from stack.errors import Cancellation, StackError

# Runs in the child before the program: ask the kernel to kill us when our parent dies, then become the program (same
# process id). Here and not in a preexec_fn, which may deadlock in a process that has threads.
_SHIM = """
import os, signal, sys
parent, argv = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() != parent:  # it died before we asked
    sys.exit(1)
# Python ignores or handles these, or a shell that runs it in the background; programs expect the default
for name in ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGQUIT"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
try:
    os.execvp(argv[0], argv)
except OSError as error:
    sys.exit(f"cannot run {argv[0]}: {error.strerror}")
"""
# Not the virtual environment's link, which another user may be unable to reach.
_PYTHON = os.path.realpath(sys.executable)

_POLL = 0.02


class _Spawner:
    """One thread that starts all children and lives as long as the process.

    The kernel sends the death signal when the *thread* that forked ends, so a child must not be started by a worker
    thread. The thread is a daemon: at interpreter exit it outlives the handlers that stop the children politely.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._requests: queue.SimpleQueue[tuple[Future[subprocess.Popen[bytes]], Sequence[str], dict[str, object]]]
        self._requests = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="stack-spawner", daemon=True).start()

    @classmethod
    def current(cls) -> _Spawner:
        """Return this process's spawner; a forked copy of its object has no thread behind it."""
        global _spawner
        with _spawner_lock:
            if _spawner is None or _spawner._process != os.getpid():
                _spawner = cls()
            return _spawner

    def start(self, argv: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        """Start a process from the long-lived thread."""
        result: Future[subprocess.Popen[bytes]] = Future()
        self._requests.put((result, argv, options))
        return result.result()

    def _serve(self) -> None:
        while True:
            result, argv, options = self._requests.get()
            try:
                result.set_result(subprocess.Popen(argv, **options))  # type: ignore[call-overload]  # noqa: S603  our own list of arguments, no shell
            except BaseException as error:
                result.set_exception(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


class Child:
    """A process in a session of its own, so that Ctrl-C on the terminal does not reach it.

    It dies with this process (on Linux; elsewhere `PidFile` finds it at the next start). Signals go to its whole group.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        directory: Path | None = None,
        output: IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        options: dict[str, object] = {"cwd": directory, "start_new_session": True}
        if output is not None:
            options |= {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        if environment is not None:
            options["env"] = {**os.environ, **environment}
        if user is not None:
            options |= {"user": user, "group": user, "extra_groups": []}
        shim = (_PYTHON, "-I", "-S", "-c", _SHIM, str(os.getpid()))
        self._popen = _Spawner.current().start((*shim, *argv), **options)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; None when the timeout came first."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send a signal to it and to what it started in its group; nothing happens when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill it; it is dead when this returns."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def stop(self, within: float) -> bool:
        """Ask it to end, and kill it when it has not after so many seconds. Returns whether asking was enough."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a paused process cannot react
        if self.wait(within) is not None:
            return True
        self.kill()
        return False

    def pause(self) -> None:
        """Stop it as Ctrl-Z does. Raises StackError when it is not running."""
        self.signal(signal.SIGSTOP)
        while self.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(self.pid).status() == psutil.STATUS_STOPPED:
                    return
            time.sleep(_POLL)
        raise StackError(f"process {self.pid} has ended")

    def resume(self) -> None:
        """Let it go on after a pause."""
        self.signal(signal.SIGCONT)


class PidFile:
    """Remembers a child for the next launcher, well enough never to take a stranger for it.

    A process id alone may be anybody's later: the start time and the service's directory in the command line must
    match as well.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, pid: int) -> None:
        """Remember this process; one that has ended already is not worth remembering."""
        with contextlib.suppress(psutil.NoSuchProcess):
            write_whole(self._path, json.dumps({"pid": pid, "started": _started(psutil.Process(pid))}))

    def remove(self) -> None:
        """Forget the process."""
        self._path.unlink(missing_ok=True)

    def leftover(self) -> psutil.Process | None:
        """Return the process if it still runs and is surely the one that was remembered."""
        try:
            remembered = json.loads(self._path.read_text())
            process = psutil.Process(int(remembered["pid"]))
            same_start = abs(_started(process) - float(remembered["started"])) < 0.05
            ours = any(str(self._path.parent) in part for part in process.cmdline())
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if same_start and ours and process.status() != psutil.STATUS_ZOMBIE else None

    def end_leftover(self, within: float) -> int | None:
        """End what an earlier launcher left behind. Returns its process id, None when there was nothing."""
        process = self.leftover()
        if process is not None:
            end_processes([process], within)
        self.remove()
        return None if process is None else process.pid


def run(argv: Sequence[str], log: Path, cancellation: Cancellation, directory: Path | None = None) -> None:
    """Run a program to its end, its output in a log file.

    Raises StackError with the end of the log when it fails, Cancelled when asked to give up.
    """
    with log.open("ab") as output:
        start = output.tell()
        child = Child(argv, directory=directory, output=output)
        try:
            while child.wait(0.1) is None:
                cancellation.check()
        finally:
            if child.poll() is None:
                child.kill()
    if child.poll() != 0:
        raise StackError(f"{Path(argv[0]).name} failed (exit code {child.poll()}):\n{tail(log, start)}")


def end_processes(processes: Sequence[psutil.Process], within: float) -> None:
    """Ask processes to end, kill those that have not after so many seconds, and wait for it."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.terminate()
            process.resume()
    _, alive = psutil.wait_procs(processes, timeout=within)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants (on Linux), so that it can find and end them."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def tail(log: Path, start: int = 0, lines: int = 20) -> str:
    """Return the last lines that were logged after a position."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - 20_000))
        return "\n".join("    " + line for line in file.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or the next start, sees all of it or none."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.write_text(text)
    temporary.replace(path)


def _started(process: psutil.Process) -> float:
    # Seconds after boot, and not of the clock, which may be set in the meantime.
    boot = psutil.boot_time()
    return round(process.create_time() - boot, 2)
