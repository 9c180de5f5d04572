"""Programs with which tests meet the platform as its users do: fetched like the services, and not among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stack.downloads import LIBRARY, Download, npm, provide
from stack.errors import Cancellation, StackError
from stack.instance import Report
from stack.tools import Tool

_NEWMAN = "6.2.2"
_AXE = "4.14.1"
_BIOME = "2.6.8"

NODE = Tool("node", package="nodejs", brew="node")
NPM = Tool("npm", package="npm", brew="node")


@dataclass(frozen=True)
class Client:
    """A program that tests use: of the operating system, or downloaded."""

    name: str
    tools: tuple[Tool, ...] = ()
    """What it takes to run."""
    download: Download | None = None

    def problem(self) -> str | None:
        """Say in one line which programs are missing and how to install them; None when all are here."""
        fetching = self.download is not None and not self.download.present(LIBRARY)
        tools = (*self.tools, *(self.download.tools if self.download and fetching else ()))
        return "; ".join(f"{tool.command}: {problem}" for tool in tools if (problem := tool.problem())) or None

    def provide(self, cancellation: Cancellation, report: Report | None = None) -> Path:
        """Install or download it, if it is not here, and return where it is.

        That is the program itself for one of the operating system, else the directory ``node_modules``. Raises
        StackError when it cannot be had.
        """

        def say(text: str) -> None:
            if report is not None:
                report(self.name, text)

        directory = provide(self.tools, self.download, LIBRARY, cancellation, say)
        if directory is not None:
            return directory / "node_modules"
        path = self.tools[0].path()
        if path is None:
            raise StackError(f"{self.name}: {self.tools[0].problem()}")
        return Path(path)


#: Runs collections of Postman: ``.bin/newman``.
NEWMAN = Client("newman", (NODE,), Download(f"newman-{_NEWMAN}", (), (NODE, NPM), npm(f"newman@{_NEWMAN}")))
#: The browser in which the pages are tested: Debian's Chromium without windows. The whole browser draws its own windows
#: even where nobody sees them, which takes three times the processor for each page.
CHROMIUM = Client(
    "chromium", (Tool("chromium-headless-shell", package="chromium-headless-shell", brew="chromium-headless-shell"),)
)
#: Rules of accessibility, which run inside a page: ``axe-core/axe.min.js``.
AXE = Client("axe", download=Download(f"axe-core-{_AXE}", (), (NPM,), npm(f"axe-core@{_AXE}")))
#: Style of JavaScript and CSS: ``.bin/biome``.
BIOME = Client("biome", (NODE,), Download(f"biome-{_BIOME}", (), (NODE, NPM), npm(f"@biomejs/biome@{_BIOME}")))

CLIENTS = (NEWMAN, CHROMIUM, AXE, BIOME)
