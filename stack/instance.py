"""One service of a stack: taken as it is found, or started, watched and stopped by us."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.addresses import Address, free_port, is_free, is_listening, local
from stack.downloads import Lock, provide
from stack.errors import AddressTaken, Cancellation, NotReady, Refused, StackError
from stack.model import Options, Place, Service
from stack.process import Child, PidFile, tail, write_whole

Report = Callable[[str, str], None]
"""Is told the name of a service and what happens to it."""

_POLL = 0.05
_PROBE_TIMEOUT = 2.0
# A service that already listens may still be loading its data.
_PATIENCE_WITH_STRANGERS = 3.0
_LONGEST_LOG = 5 << 20


class Instance:
    """One service of a stack. All methods block until what they promise is true, and may be called in any thread."""

    def __init__(
        self,
        service: Service,
        directory: Path,
        *,
        address: Address | None,
        library: Path,
        options: Options,
        cancellation: Cancellation,
        report: Report,
    ) -> None:
        """Describe the instance; `address` None means a free port of its own, never a service that is there."""
        self.service = service
        self.directory = directory
        self._given = address
        self._address = address
        self._library = library
        self._options = options
        self._cancellation = cancellation
        self._report = report
        self._program = service.program()
        self._child: Child | None = None
        self._lock = Lock(directory / "lock")
        self._pid_file = PidFile(directory / "pid.json")
        self._taken = False
        self._busy = threading.RLock()

    @property
    def uri(self) -> str:
        """The URI for clients. Raises StackError before the first start with a free port."""
        return self._where().uri

    @property
    def port(self) -> int:
        """The port that clients use. Raises StackError before the first start with a free port."""
        return self._where().port

    @property
    def pid(self) -> int:
        """The process id. Raises StackError when it is not running or not ours."""
        return self._running().pid

    @property
    def log(self) -> Path:
        """The log file of the service, when it is ours."""
        return self.directory / "log"

    @property
    def taken(self) -> bool:
        """Whether the service was there before us, so that we only use it."""
        return self._taken

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with which a program finds the service and may use it.

        `given` has those that are set already; they count for a service that was there, which knows its own keys.
        """
        access = dict(self.service.access)
        if self._taken:
            access |= {name: given[name] for name in access if given.get(name)}
        return {self.service.variable: self.uri, **access}

    def alive(self) -> bool:
        """Tell whether the service runs, as far as we can know: one that was taken is not watched."""
        return self._taken or (self._child is not None and self._child.poll() is None)

    def start(self) -> None:
        """Take the service that answers at the address, else start our own; return when it is ready.

        After `stop` or `kill` it comes back on the same port with the same data. Raises AddressTaken when something
        else sits at the address, Cancelled when asked to give up, StackError when the service does not come up.
        """
        with self._busy:
            if self.alive() or self._take():
                return
            began = time.monotonic()
            try:
                place = self._place()
                self._launch(place)
            except BaseException:
                self._kill()
                raise
            self._say(f"ready at {self._where()} after {time.monotonic() - began:.1f} s")

    def stop(self) -> None:
        """Stop our process politely, or by force when it takes too long. A service that was taken goes on."""
        with self._busy:
            if self._child is not None and self._child.poll() is None:
                if not self._child.stop(self._program.stop_within):
                    self._say(f"killed: it did not stop within {self._program.stop_within:.0f} s")
                else:
                    self._say("stopped")
            self._kill()

    def kill(self) -> None:
        """Kill our process as a crash would; it is dead when this returns. Raises StackError when it is not ours."""
        with self._busy:
            self._running()
            self._kill()

    def pause(self) -> None:
        """Freeze our process (SIGSTOP): it keeps its connections and answers nothing. Raises StackError like kill."""
        with self._busy:
            self._running().pause()

    def resume(self) -> None:
        """Let our process go on after a pause. Raises StackError like kill."""
        with self._busy:
            self._running().resume()

    def close(self) -> None:
        """Stop our process and give up the directory."""
        with self._busy:
            self.stop()
            self._lock.release()
            self._taken = False

    def provide(self) -> Path | None:
        """Provide the tools and the download that the program needs; return where the download is.

        Raises StackError when a tool is missing and cannot be installed, or when a download fails.
        """
        program = self._program
        return provide(program.tools, program.download, self._library, self._cancellation, self._say)

    def failure(self) -> str:
        """Return how our process ended, with the end of its log."""
        code = self._child.poll() if self._child else None
        return f"{self.service.name} ended by itself (exit code {code}); its log {self.log} ends with\n{tail(self.log)}"

    def _where(self) -> Address:
        if self._address is None:
            raise StackError(f"{self.service.name} has not been started")
        return self._address

    def _running(self) -> Child:
        if self._taken:
            raise StackError(f"{self.service.name} was running before and is not ours to touch")
        if self._child is None or self._child.poll() is not None:
            raise StackError(f"{self.service.name} is not running")
        return self._child

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._pid_file.remove()
            self._child = None

    def _say(self, text: str) -> None:
        self._report(self.service.name, text)

    def _take(self) -> bool:
        """Return True when a service at the address is to be used; else the directory is ours, and the port free."""
        waiting = False
        started = time.monotonic()
        while True:
            ours = self._lock.acquire()
            if ours and (pid := self._pid_file.end_leftover(self._program.stop_within)):
                self._say(f"ended process {pid}, left over by a launcher that was killed")
            if self._given is None:
                if ours:
                    return False
                raise StackError(f"{self.directory} is in use by another launcher")
            try:
                reason = self._answers(self._given)
            except Refused as error:
                self._lock.release()
                raise Refused(f"{self.service.name} at {self._given}: {error}") from error
            if reason is None:
                self._taken = True
                self._lock.release()
                self._say(f"already running at {self._given}")
                return True
            waited = time.monotonic() - started
            if ours:
                listening = any(is_listening(host, port) for host, port in self._given.hosts)
                if not listening and self._given.startable:
                    return False
                if not listening or waited > _PATIENCE_WITH_STRANGERS:
                    self._lock.release()
                    raise self._absent(self._given, listening, reason)
            elif waited > self._program.ready_within:
                raise StackError(f"another launcher has {self.directory}, but nothing answers at {self._given}")
            elif not waiting:
                waiting = True
                self._say("another launcher is starting it; waiting")
            self._cancellation.check()
            time.sleep(_POLL)

    def _answers(self, address: Address, timeout: float = _PROBE_TIMEOUT) -> str | None:
        try:
            self.service.probe(address, timeout)
        except NotReady as error:
            return str(error)
        return None

    def _absent(self, address: Address, listening: bool, reason: str) -> StackError:
        name, variable = self.service.name, self.service.variable
        if listening:
            return AddressTaken(f"{address} is occupied by something that is not {name} ({reason}); set {variable}")
        return StackError(f"{name} does not answer at {address}, where {variable} says it is ({reason})")

    def _place(self) -> Place:
        self.directory.mkdir(parents=True, exist_ok=True)
        library = self.provide()
        ports = self._ports()
        main = ports.pop("port")
        if self._given is None:
            self._address = local(self.service.default, main)
        return Place(self.directory, library, main, ports, self._options, self._cancellation)

    def _ports(self) -> dict[str, int]:
        """Return the same ports as last time, as far as they are still free."""
        file = self.directory / "ports.json"
        remembered: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            remembered = json.loads(file.read_text())
        ports: dict[str, int] = {}
        if self._given is not None:
            ports["port"] = self._given.port
        for name in ("port", *self._program.extra_ports):
            port = remembered.get(name)
            if name not in ports:
                ports[name] = port if port and is_free(port) else free_port(avoid=ports.values())
        write_whole(file, json.dumps(ports))
        return ports

    def _launch(self, place: Place) -> None:
        program = self._program
        user = program.user if os.geteuid() == 0 else None
        self._say(f"starting at {self._where()}")
        if self.log.exists() and self.log.stat().st_size > _LONGEST_LOG:
            self.log.unlink()
        program.prepare(place)
        if user is not None:
            shutil.chown(self.directory, user, user)
            for path in self.directory.rglob("*"):
                shutil.chown(path, user, user)
        self._cancellation.check()
        with self.log.open("ab") as output:
            position = output.tell()
            self._child = Child(
                program.command(place),
                directory=self.directory,
                output=output,
                environment=program.environment,
                user=user,
            )
        self._pid_file.write(self._child.pid)
        self._wait_ready(self._child, position)

    def _wait_ready(self, child: Child, position: int) -> None:
        deadline = time.monotonic() + self._program.ready_within
        address = self._where()
        while True:
            reason = self._answers(address)
            if (code := child.poll()) is not None:
                raise StackError(self._did_not_start(f"it ended with exit code {code}", position))
            if reason is None:
                return
            if time.monotonic() > deadline:
                reason = f"not ready after {self._program.ready_within:.0f} s: {reason}"
                raise StackError(self._did_not_start(reason, position))
            self._cancellation.check()
            time.sleep(_POLL)

    def _did_not_start(self, reason: str, position: int) -> str:
        end = tail(self.log, position)
        return f"{self.service.name} did not start: {reason}; its log {self.log}" + (
            f" ends with\n{end}" if end else " is empty"
        )
