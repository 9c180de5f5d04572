"""A client of the bulk operations API: ``Client`` and ``AsyncClient``; the command ``bulk`` is made of the same parts.

It needs what ``pip install 'bulk-operations[cli]'`` brings. That is imported only when a name of this package is
used, so that the command can say what is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulk_client.async_client import AsyncClient as AsyncClient
    from bulk_client.client import Client as Client
    from bulk_client.errors import ApiError as ApiError
    from bulk_client.errors import BadSettings as BadSettings
    from bulk_client.errors import BulkError as BulkError
    from bulk_client.errors import NetworkError as NetworkError
    from bulk_client.errors import UnexpectedAnswer as UnexpectedAnswer
    from bulk_client.settings import Connection as Connection
    from bulk_client.uploads import Upload as Upload

_HOMES = {
    "ApiError": "errors",
    "AsyncClient": "async_client",
    "BadSettings": "errors",
    "BulkError": "errors",
    "Client": "client",
    "Connection": "settings",
    "NetworkError": "errors",
    "UnexpectedAnswer": "errors",
    "Upload": "uploads",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
