"""Recorded terminal sessions, as asciicast v2: what a terminal was sent, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pyte

#: Lines of a screen on which no session scrolls.
_ENDLESS = 500


@dataclass
class Cast:
    """A session on a terminal of ``width`` columns and ``height`` lines.

    Attributes:
        output: What the terminal was sent, each with its time in seconds from the start.
        commands: The commands that were given, each with the time at which it was sent.
    """

    width: int
    height: int
    title: str
    output: list[tuple[float, str]] = field(default_factory=list)
    commands: list[tuple[float, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Cast:
        """Read a file of asciicast v2."""
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        header, events = json.loads(first), [json.loads(line) for line in lines]
        assert header["version"] == 2
        return cls(
            header["width"],
            header["height"],
            header["title"],
            [(at, data) for at, kind, data in events if kind == "o"],
            [(at, data) for at, kind, data in events if kind == "m"],
        )

    def to_text(self) -> str:
        """Return the file; the commands are its marks, by which players find their way."""
        header = {
            "version": 2,
            "width": self.width,
            "height": self.height,
            "title": self.title,
            "env": {"SHELL": "bash", "TERM": "xterm-256color"},
        }
        events = [
            *([round(at, 3), "m", command] for at, command in self.commands),
            *([round(at, 3), "o", data] for at, data in self.output),
        ]
        events.sort(key=lambda event: event[0])
        lines = [header, *events]
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def lines(self) -> list[str]:
        """Return what was to be read at the end, also what had scrolled away."""
        screen = pyte.Screen(self.width, _ENDLESS)
        stream = pyte.Stream(screen)
        for _, data in self.output:
            stream.feed(data)
        return "\n".join(line.rstrip() for line in screen.display).rstrip().split("\n")
