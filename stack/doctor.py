"""What is missing on this machine, in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.addresses import parse
from stack.downloads import LIBRARY
from stack.errors import NotReady, StackError
from stack.model import Service
from stack.tools import can_install


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    text: str
    well: bool = True


def examine(services: Iterable[Service], environment: Mapping[str, str], library: Path = LIBRARY) -> Iterator[Finding]:
    """Look at every service: does it run already, and if not, are its tools and downloads here."""
    tools = {}
    for service in services:
        try:
            uri = environment.get(service.variable, "").strip() or service.default
            address = parse(uri, default=service.default, variable=service.variable)
            service.probe(address, 2.0)
        except NotReady:
            yield _local(service, library)
            tools.update({tool.command: tool for tool in service.program().all_tools()})
        except StackError as error:
            yield Finding(service.name, str(error), well=False)
        else:
            yield Finding(service.name, f"answers at {address}")
    for command, tool in tools.items():
        problem = tool.problem()
        if problem and not tool.present() and can_install():
            problem += " (the launcher does it by itself)"
        yield Finding(command, problem or "is here", well=problem is None)


def _local(service: Service, library: Path) -> Finding:
    download = service.program().download
    if download is None or download.present(library):
        return Finding(service.name, "does not run; `up` will start it")
    return Finding(service.name, "does not run; `up` will download it once and start it")
