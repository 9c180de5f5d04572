"""Object storage for uploads: one interface, one module per kind of storage."""

from app.adapters.storage.base import ObjectMissing, Storage, StorageWriter
from app.adapters.storage.local import LocalStorage

__all__ = ["LocalStorage", "ObjectMissing", "Storage", "StorageWriter", "open_storage"]


def open_storage(uri: str) -> Storage:
    """Return the storage that ``uri`` (``file:///directory``) names."""
    return LocalStorage.from_uri(uri)
