"""Uploads in a bucket of S3, or of any server that speaks its protocol, which workers on all machines can reach."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.storage.base import ObjectMissing, OutOfSpace, StorageWriter, StoredObject
from app.adapters.storage.ending import finish_despite_cancel
from app.domain.upload_keys import is_upload_key

#: An object is sent in parts of this size, of which each writer holds one, bytes. S3 takes parts from 5 MiB on, of one
#: size but for the last, and at most 10,000 of them: an object may have 78 GiB.
PART_SIZE = 8 * 1024**2

#: What servers say when a bucket or a disk has no room: Ceph and MinIO, versitygw, and others.
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"})

_CONFIG = AioConfig(
    connect_timeout=5,
    # With waits between them; what still fails then is tried again by those who asked.
    retries={"mode": "standard", "total_max_attempts": 3},
    # One worker reads as many chunks at once as it processes, at most 64, beside its uploads.
    max_pool_connections=100,
)


class S3Storage:
    """Object storage in a bucket, below a prefix. An object appears under its key only when it is complete."""

    def __init__(self, bucket: str, prefix: str, client: Mapping[str, str | None]) -> None:
        """Describe the storage; nothing is connected yet.

        ``client`` has the arguments ``endpoint_url``, ``region_name``, ``aws_access_key_id``, … of botocore's clients;
        it looks in its usual places for what is missing or None.
        """
        #: What all our keys in the bucket begin with.
        self._bucket, self._below = bucket, f"{prefix}/" if prefix else ""
        self._arguments = dict(client)
        self._made: Any = None
        self._making = asyncio.Lock()
        self._open = contextlib.AsyncExitStack()

    @classmethod
    def from_uri(cls, uri: str, client: Mapping[str, str | None]) -> S3Storage:
        """Return the storage of ``s3://bucket/prefix``."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return cls(bucket, prefix.strip("/"), client)

    @contextlib.asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator[StorageWriter]:
        """Open a new object; see :class:`~app.adapters.storage.base.Storage`.

        What a killed process has sent of an object stays with the server as an unfinished upload, until
        ``discard_unfinished`` ends it.
        """
        with _faults(key):
            writer = _S3Writer(await self._client(), self._object(key))
        try:
            yield writer
            with _faults(key):
                await finish_despite_cancel(writer.publish())
        except BaseException:
            with contextlib.suppress(OSError), _faults(key):
                await finish_despite_cancel(writer.discard())
            raise

    async def put(self, key: str, data: bytes) -> None:
        """Store a small object at once."""
        async with self.writer(key) as writer:
            await writer.write(data)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a range of an object."""
        asked = self._object(key)
        if start or end is not None:
            # HTTP has no empty range. One byte is asked for instead, which also tells whether there is an object.
            asked["Range"] = f"bytes={start}-{'' if end is None else max(start, end - 1)}"
        with _faults(key):
            client = await self._client()
            try:
                answer = await client.get_object(**asked)
            except ClientError as error:
                if _code(error) == "InvalidRange":  # it begins behind the end
                    return b""
                raise
            async with answer["Body"] as body:
                data: bytes = await body.read()
        return data if end is None else data[: end - start]

    async def delete(self, key: str) -> None:
        """Remove an object."""
        with _faults(key):
            client = await self._client()
            await client.delete_object(**self._object(key))

    async def objects(self, after: str = "", limit: int = 1000, *, below: str = "") -> list[StoredObject]:
        """List objects in the order of their keys."""
        found: list[StoredObject] = []
        behind = self._object(after)["Key"] if after else ""
        with _faults():
            client = await self._client()
            # A server may give less than was asked for at a time; none gives more than 1,000.
            while len(found) < limit:
                answer = await client.list_objects_v2(
                    Bucket=self._bucket,
                    Prefix=f"{self._below}{below}",
                    MaxKeys=min(1000, limit - len(found)),
                    **({"StartAfter": behind} if behind else {}),
                )
                page = answer.get("Contents", [])
                found += [StoredObject(e["Key"].removeprefix(self._below), e["LastModified"]) for e in page]
                if not page or not answer.get("IsTruncated"):
                    break
                behind = page[-1]["Key"]
        return found

    async def discard_unfinished(self, before: datetime, limit: int = 1000) -> int:
        """End our uploads that were begun before a moment; other programs may have some in the same bucket."""
        discarded = 0
        place: dict[str, str] = {}
        with _faults():
            client = await self._client()
            while True:
                answer = await client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._below, **place)
                for upload in answer.get("Uploads", []):
                    if discarded == limit:
                        return discarded
                    if upload["Initiated"] < before and self._is_ours(upload["Key"]):
                        await self._end(client, upload)
                        discarded += 1
                if not answer.get("IsTruncated"):
                    return discarded
                place = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def _is_ours(self, key: str) -> bool:
        return key.startswith(self._below) and is_upload_key(key.removeprefix(self._below))

    async def _end(self, client: Any, upload: Mapping[str, Any]) -> None:
        try:
            await client.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise

    async def check(self) -> None:
        """Return when the bucket answers, and we may look into it; whether we may write shows at the first upload."""
        with _faults():
            client = await self._client()
            await client.head_bucket(Bucket=self._bucket)

    async def free_bytes(self) -> int | None:
        """Return None: a bucket does not tell how much room it has."""
        return None

    async def create(self) -> None:
        """Nothing is to be made: the bucket must exist, and a prefix needs no making."""

    async def close(self) -> None:
        """Close the connections."""
        await self._open.aclose()

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._below}{key}"}

    async def _client(self) -> Any:
        """Return the one client, which belongs to the running event loop."""
        async with self._making:
            if self._made is None:
                client = get_session().create_client("s3", config=_CONFIG, **self._arguments)
                self._made = await self._open.enter_async_context(client)
            return self._made


class _S3Writer:
    """Sends a large object in parts while it grows, a small one at the end.

    Whatever is under way is waited for when the writer's task is cancelled: a request that is broken off may still be
    carried out, and then nobody would know of it.
    """

    def __init__(self, client: Any, target: Mapping[str, str]) -> None:
        self._client = client
        self._object = target
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._publishing = False

    async def write(self, block: bytes) -> None:
        self._buffer += block
        while len(self._buffer) >= PART_SIZE:
            with _faults():
                await finish_despite_cancel(self._send(bytes(memoryview(self._buffer)[:PART_SIZE])))
            del self._buffer[:PART_SIZE]

    async def publish(self) -> None:
        """Give the object its name."""
        rest = bytes(self._buffer)
        if self._upload is None:
            self._publishing = True
            await self._client.put_object(**self._object, Body=rest)
            return
        if rest:
            await self._send(rest)
        self._publishing = True
        await self._client.complete_multipart_upload(
            **self._object, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )

    async def discard(self) -> None:
        """Take away what has been sent; also an object that may have got its name."""
        if self._upload is not None:
            try:
                await self._client.abort_multipart_upload(**self._object, UploadId=self._upload)
            except ClientError as error:
                if _code(error) != "NoSuchUpload":
                    raise
        if self._publishing:
            await self._client.delete_object(**self._object)

    async def _send(self, part: bytes) -> None:
        if self._upload is None:
            answer = await self._client.create_multipart_upload(**self._object)
            self._upload = answer["UploadId"]
        number = len(self._parts) + 1
        answer = await self._client.upload_part(**self._object, UploadId=self._upload, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})


@contextlib.contextmanager
def _faults(key: str = "") -> Iterator[None]:
    """Say in the words of the interface what goes wrong; everything but a missing object is expected to pass."""
    try:
        yield
    except ClientError as error:
        if _code(error) == "NoSuchKey":
            raise ObjectMissing(f"no stored object {key}") from None
        if _code(error) in _FULL or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 507:
            raise OutOfSpace(f"the storage is full: {error}") from error
        raise OSError(f"the storage refuses: {error}") from error
    except (BotoCoreError, aiohttp.ClientError) as error:  # the latter when an answer breaks off
        raise OSError(f"the storage cannot be reached: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
