"""Object storage for uploads: one interface, one module per kind of storage."""

from __future__ import annotations

from collections.abc import Mapping

from app.adapters.storage.base import ObjectMissing, OutOfSpace, RawStorage, Storage, StorageWriter, StoredObject
from app.adapters.storage.identity import IdentifiedStorage, IdentityRegister, UnknownStorage
from app.adapters.storage.local import LocalStorage, disk_space

__all__ = [
    "IdentifiedStorage",
    "LocalStorage",
    "ObjectMissing",
    "OutOfSpace",
    "Storage",
    "StorageWriter",
    "StoredObject",
    "UnknownStorage",
    "disk_space",
    "open_storage",
    "raw_storage",
]


def open_storage(
    uri: str, s3_client: Mapping[str, str | None], register: IdentityRegister, *, reserve: int = 0
) -> IdentifiedStorage:
    """Return the storage that ``uri`` (``file:///directory`` or ``s3://bucket/prefix``) names.

    ``s3_client`` has the arguments of botocore's client, as :attr:`app.settings.Settings.s3_client` returns them;
    ``register`` knows which storage is the right one; ``reserve`` bytes are to stay free on the disk of a directory.
    """
    return IdentifiedStorage(raw_storage(uri, s3_client, reserve=reserve), uri, register)


def raw_storage(uri: str, s3_client: Mapping[str, str | None], *, reserve: int = 0) -> RawStorage:
    """Return the storage that an address names, whichever it is."""
    if uri.startswith("s3://"):
        # Here, because the library takes time and memory that a worker without S3 need not spend.
        from app.adapters.storage.s3 import S3Storage

        return S3Storage.from_uri(uri, s3_client)
    return LocalStorage.from_uri(uri, reserve=reserve)
