"""From where a request comes: X-Forwarded-For is believed as far as those are trusted who have added to it."""

from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict

from web.source_address import source_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "said", "source"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["password=x, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_source_is_the_last_not_trusted(peer: str | None, said: list[str], source: str | None) -> None:
    """The client is the last in the list whom no trusted proxy stands behind."""
    headers = CIMultiDict([("X-Forwarded-For", one) for one in said])
    request = cast(Any, SimpleNamespace(remote=peer, headers=headers))
    assert source_of(request, PROXIES) == source


def test_nobody_is_trusted_by_default() -> None:
    headers = CIMultiDict([("X-Forwarded-For", "198.51.100.1")])
    request = cast(Any, SimpleNamespace(remote="127.0.0.1", headers=headers))
    assert source_of(request, ()) == "127.0.0.1"
