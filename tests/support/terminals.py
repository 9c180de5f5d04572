"""A shell on a terminal of its own, at which somebody types, and which is recorded."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.casts import Cast

#: Seconds between two keys.
_KEY = 0.045
#: Seconds for which nothing happens at most: what takes longer is shortened.
_IDLE = 0.6
#: Seconds within which a command ends.
_PATIENCE = 120.0
#: Comes before each prompt, with the exit code of the command; it is not recorded.
_DONE = re.compile(rb"\x1b\]777;(\d+)\x07")
_PROMPT = r"\[\e[1;32m\]$\[\e[0m\] "
_PROMPT_SENT = b"\x1b[1;32m$\x1b[0m "


class Terminal:
    """A context manager; what is typed and answered is in ``cast``.

    The clock of the recording is not that of the wall: keys come evenly, and where nothing happens it is shortened.
    """

    def __init__(self, cast: Cast, environment: dict[str, str], directory: Path) -> None:
        """Describe it: the shell runs in the directory, in which it leaves a file of settings."""
        self.cast = cast
        self._directory = directory
        settings = directory / ".inputrc"
        settings.write_text("set enable-bracketed-paste off\n")
        self._environment = {
            **environment,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "INPUTRC": str(settings),
            "HISTFILE": "/dev/null",
            "PS1": _PROMPT,
            "PROMPT_COMMAND": r'printf "\033]777;%s\007" $?',
        }
        self._clock = 0.0
        self._shell: subprocess.Popen[bytes]
        self._file: int

    def __enter__(self) -> Self:
        self._file, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", self.cast.height, self.cast.width, 0, 0))
        self._shell = subprocess.Popen(
            ["setsid", "--ctty", "bash", "--norc", "--noprofile", "-i"],
            cwd=self._directory,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._until_prompt()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._file)

    def run(self, command: str, *, ends: int = 0, read_for: float = 1.0) -> str:
        """Type a command, and wait until it has ended; return what it wrote.

        Args:
            command: One line.
            ends: The exit code that it must have.
            read_for: Seconds until the next key, in which a person reads.
        """
        for key in command:
            os.write(self._file, key.encode())
            self._clock += _KEY
            self._note(self._read(time.monotonic() + _PATIENCE))
        self._clock += 2 * _KEY
        self.cast.commands.append((self._clock, command))
        os.write(self._file, b"\n")
        output, code = self._until_prompt()
        assert code == ends, f"{command} ended with {code}:\n{output}"
        self._clock += read_for
        return output

    def _until_prompt(self) -> tuple[str, int]:
        deadline = time.monotonic() + _PATIENCE
        before, got = time.monotonic(), b""
        whole = b""
        while (found := _DONE.search(got)) is None or not got.endswith(_PROMPT_SENT):
            got += self._read(deadline)
            now = time.monotonic()
            self._clock += min(now - before, _IDLE)
            before = now
            # What may be the beginning of the mark waits for the rest of it.
            if b"\x1b]" not in got and not got.endswith(b"\x1b") and _complete(got):
                whole += got
                self._note(got)
                got = b""
        rest = _DONE.sub(b"", got)
        self._note(rest)
        return (whole + rest).decode(), int(found[1])

    def _read(self, deadline: float) -> bytes:
        ready, _, _ = select.select([self._file], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, "the terminal stays silent"
        return os.read(self._file, 65536)

    def _note(self, data: bytes) -> None:
        if data:
            self.cast.output.append((self._clock, data.decode()))


def _complete(data: bytes) -> bool:
    """Whether no character is cut."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
