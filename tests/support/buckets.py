"""A bucket for a test, and a look at what is in it past the storage."""

from __future__ import annotations

import uuid
from typing import Any

import botocore.session

from app.adapters.storage import IdentifiedStorage, open_storage, raw_storage
from app.adapters.storage.base import RawStorage
from app.adapters.storage.identity import MARKER
from app.settings import Settings
from stack import Stack
from tests.support.fakes import MemoryRegister

PREFIX = "some/prefix"

#: Kept, because it has read what it knows of S3 from files.
_SESSION = botocore.session.get_session()


class Bucket:
    """A fresh bucket at the server, in which a storage has a place below a prefix."""

    def __init__(self, server: Stack) -> None:
        self.name = f"t{uuid.uuid4().hex[:10]}"
        #: The settings of a worker that keeps its uploads here.
        self.environment = {**server.environment(), "STORAGE_URI": f"s3://{self.name}/{PREFIX}"}
        self.register = MemoryRegister()
        self._client: Any = _SESSION.create_client("s3", **self.settings().s3_client)
        self._client.create_bucket(Bucket=self.name)

    def settings(self, **changed: str) -> Settings:
        """The settings, some of them otherwise; names in capitals."""
        values = {name.lower(): value for name, value in {**self.environment, **changed}.items()}
        return Settings(_env_file=None, **values)  # type: ignore[arg-type]

    def storage(self, **changed: str) -> IdentifiedStorage:
        """The storage that a worker with these settings has."""
        settings = self.settings(**changed)
        return open_storage(settings.storage_uri, settings.s3_client, self.register)

    def raw_storage(self, **changed: str) -> RawStorage:
        """The same, whether it is the right one or not."""
        settings = self.settings(**changed)
        return raw_storage(settings.storage_uri, settings.s3_client)

    def put(self, key: str, data: bytes) -> None:
        """Store an object past the storage."""
        self._client.put_object(Bucket=self.name, Key=f"{PREFIX}/{key}", Body=data)

    def remove(self, key: str) -> None:
        """Take an object away past the storage."""
        self._client.delete_object(Bucket=self.name, Key=f"{PREFIX}/{key}")

    def move(self, prefix: str, target: str) -> None:
        """Move every object from one prefix to another."""
        for entry in self._client.list_objects_v2(Bucket=self.name, Prefix=f"{prefix}/").get("Contents", []):
            source = {"Bucket": self.name, "Key": entry["Key"]}
            key = f"{target}/{entry['Key'].removeprefix(f'{prefix}/')}"
            self._client.copy_object(Bucket=self.name, Key=key, CopySource=source)
            self._client.delete_object(**source)

    def all_keys(self) -> set[str]:
        """Every object by its key in the storage, the marker too."""
        objects = self._client.list_objects_v2(Bucket=self.name, Prefix=f"{PREFIX}/").get("Contents", [])
        return {entry["Key"].removeprefix(f"{PREFIX}/") for entry in objects}

    def begin_upload(self, key: str) -> None:
        """Begin an upload in parts under a key of the bucket, and leave it at that."""
        self._client.create_multipart_upload(Bucket=self.name, Key=key)

    def unfinished(self) -> set[str]:
        """The keys in the bucket of all uploads that are not finished."""
        return {upload["Key"] for upload in self._uploads()}

    def contents(self) -> set[str]:
        """Every object but the marker by its key in the storage, and every unfinished upload."""
        objects = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        unfinished = {f"unfinished: {upload['Key']}" for upload in self._uploads()}
        return ({entry["Key"].removeprefix(f"{PREFIX}/") for entry in objects} | unfinished) - {MARKER}

    def sent_parts(self) -> list[int]:
        """The sizes of what the server has of its one unfinished upload, bytes."""
        [upload] = self._uploads()
        answer = self._client.list_parts(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])
        return [part["Size"] for part in answer.get("Parts", [])]

    def parts_of(self, key: str) -> int:
        """Of how many parts an object was made; 0: it came at once."""
        tag = self._client.head_object(Bucket=self.name, Key=f"{PREFIX}/{key}")["ETag"]
        return int(tag.strip('"').partition("-")[2] or 0)

    def close(self) -> None:
        self._client.close()

    def _uploads(self) -> list[dict[str, Any]]:
        return list(self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", []))
