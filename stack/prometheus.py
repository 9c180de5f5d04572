"""Prometheus as a service of this machine: the configuration of deploy/prometheus, over the workers of this place."""

from __future__ import annotations

import shutil

from stack.downloads import HERE
from stack.model import Place
from stack.tools import Tool

RULES = HERE.parent / "deploy" / "prometheus"
PROGRAM = Tool("prometheus", package="prometheus", brew="prometheus")

_INTERVALS = ("scrape_interval: 15s", "evaluation_interval: 15s")


def prepare(place: Place) -> None:
    """Write the configuration: the shared rules as they are, where the workers are, and how often they are asked."""
    directory, options = place.directory, place.options
    shutil.copyfile(RULES / "alerts.yml", directory / "alerts.yml")
    configuration = (RULES / "prometheus.yml").read_text()
    for interval in _INTERVALS:
        configuration = configuration.replace(interval, interval.replace("15s", f"{options.scrape_seconds}s"))
    (directory / "prometheus.yml").write_text(configuration)
    workers = ", ".join(f'"{place.host}:{port}"' for port in options.workers)
    (directory / "workers.yml").write_text(f"- targets: [{workers}]\n")


def command(place: Place) -> list[str]:
    """Return the command line: in the foreground, data in the place's own directory."""
    return [
        PROGRAM.path() or PROGRAM.command,
        f"--config.file={place.directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={place.directory / 'data'}",
        f"--web.listen-address={place.host}:{place.port}",
        "--log.level=warn",
    ]
