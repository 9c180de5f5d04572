"""The dashboard's JavaScript and CSS are formatted, and have none of the faults that biome knows."""

from __future__ import annotations

import re

from stack.clients import BIOME
from tests.support.biome import check
from tests.support.installed import provided


def test_javascript_has_its_style() -> None:
    """The dashboard's own files are as `make format-js` leaves them."""
    done = check(provided(BIOME))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    # With the files in another place, nothing would be checked.
    assert re.search(r"Checked [1-9]\d* files", said)
