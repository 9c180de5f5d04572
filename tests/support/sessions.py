"""What documents show of a shell: sessions, which are commands with their answers, and scripts."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import ROOT


def sessions(page: str | Path) -> list[list[tuple[str, str]]]:
    """Return the console blocks of a page of the repository, each as its commands and their answers."""
    return [
        [(command, answer.strip()) for command, _, answer in (part.partition("\n") for part in block.split("$ ")[1:])]
        for block in re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    ]


def scripts(page: str | Path) -> list[list[str]]:
    """Return the shell blocks of a page of the repository, each as its lines."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
