"""The address from which a request comes, through proxies that are trusted to say it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from aiohttp import web
from pydantic import IPvAnyNetwork

from web import headers


def source_of(request: web.BaseRequest, trusted: Sequence[IPvAnyNetwork]) -> str | None:
    """Return the address of the client; None where the connection has none.

    A proxy adds the address that it was asked from at the end of ``X-Forwarded-For``. What stands there is believed as
    far as those who have added it are trusted: anybody can send the header.
    """
    source = request.remote
    said = ",".join(request.headers.getall(headers.FORWARDED_FOR, [])).split(",")
    while said and _is_among(source, trusted):
        address = _address(said.pop().strip())
        if address is None:
            break
        source = str(address)
    return source


def _is_among(source: str | None, networks: Sequence[IPvAnyNetwork]) -> bool:
    address = _address(source or "")
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
