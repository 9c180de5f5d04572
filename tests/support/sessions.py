"""The sessions that documents show: commands, each with the answer below it."""

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
