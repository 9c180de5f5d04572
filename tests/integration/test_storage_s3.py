"""Storage on S3, beside the common suite: parts, what is left behind, and a server or a network with faults."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from agents.faults import is_transient
from app.adapters.storage import ObjectMissing, Storage
from app.adapters.storage.s3 import PART_SIZE
from stack import Stack
from tests.support.buckets import Bucket

KEY = "0123456789abcdef01234567/upload.csv"
BLOCK = b"0123456789abcdef" * 16 * 1024
BLOCKS_OF_A_PART = PART_SIZE // len(BLOCK)


@pytest.fixture
def bucket(s3: Stack) -> Iterator[Bucket]:
    bucket = Bucket(s3)
    yield bucket
    bucket.close()


@pytest.fixture
async def storage(bucket: Bucket) -> AsyncIterator[Storage]:
    storage = bucket.raw_storage()
    yield storage
    await storage.close()


async def write(storage: Storage, key: str, blocks: int) -> None:
    async with storage.writer(key) as writer:
        for _ in range(blocks):
            await writer.write(BLOCK)


async def fault_of(storage: Storage) -> OSError:
    """What a read of an object ends with."""
    with pytest.raises(OSError) as caught:
        await storage.read(KEY)
    return caught.value


# Parts


def test_part_size_suits_every_server() -> None:
    """A part is of a size that every server takes."""
    assert 5 * 1024**2 <= PART_SIZE <= 5 * 1024**3


async def test_large_object_is_sent_in_parts(bucket: Bucket, storage: Storage) -> None:
    """A large object is sent in parts while it grows."""
    async with storage.writer(KEY) as writer:
        for _ in range(2 * BLOCKS_OF_A_PART + 1):
            await writer.write(BLOCK)
        assert bucket.sent_parts() == [PART_SIZE, PART_SIZE]
        with pytest.raises(ObjectMissing):
            await storage.read(KEY)
    assert bucket.parts_of(KEY) == 3
    assert bucket.contents() == {KEY}


@pytest.mark.parametrize("size", [0, 1, PART_SIZE - 1])
async def test_a_small_object_is_sent_at_once(bucket: Bucket, storage: Storage, size: int) -> None:
    await storage.put(KEY, b"x" * size)
    assert bucket.parts_of(KEY) == 0


async def test_whole_parts_have_no_empty_end(bucket: Bucket, storage: Storage) -> None:
    """An object of whole parts has no empty one."""
    await write(storage, KEY, 2 * BLOCKS_OF_A_PART)
    assert bucket.parts_of(KEY) == 2


async def test_writer_memory_is_bounded(storage: Storage) -> None:
    """A writer holds a few parts in memory, whatever the size."""
    await storage.check()  # what the client itself takes is not the question
    tracemalloc.start()
    try:
        await write(storage, KEY, 12 * BLOCKS_OF_A_PART)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * PART_SIZE
    assert await storage.read(KEY, 12 * PART_SIZE - 4) == b"cdef"


# What is left behind


@pytest.mark.parametrize("fault", [RuntimeError, asyncio.CancelledError])
async def test_error_after_parts_aborts_upload(bucket: Bucket, storage: Storage, fault: type[BaseException]) -> None:
    """An exception after parts were sent ends the upload at the server."""
    with pytest.raises(fault):
        async with storage.writer(KEY) as writer:
            for _ in range(BLOCKS_OF_A_PART + 1):
                await writer.write(BLOCK)
            assert bucket.contents() == {f"unfinished: some/prefix/{KEY}"}
            raise fault
    assert bucket.contents() == set()


@pytest.mark.parametrize("step", ["its first part", "a later part", "its last part", "all of it at once"])
async def test_cancelled_request_leaves_nothing(bucket: Bucket, storage: Storage, s3: Stack, step: str) -> None:
    """A task cancelled while the server takes something leaves nothing behind."""
    parts = {"its first part": 0, "a later part": 1, "its last part": 2, "all of it at once": 0}[step]
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def upload() -> None:
        async with storage.writer(KEY) as writer:
            for _ in range(parts * BLOCKS_OF_A_PART):
                await writer.write(BLOCK)
            reached.set()
            await go_on.wait()
            if step == "all of it at once":
                await writer.write(BLOCK)
            elif step != "its last part":
                await writer.write(BLOCK * BLOCKS_OF_A_PART)

    task = asyncio.create_task(upload())
    await reached.wait()
    s3["s3"].pause()
    try:
        go_on.set()
        # Twice: when it returns, the task has gone on and waits for the server, which does not answer.
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=0.2)
        assert not task.done(), "it waits for what the server makes of the request"
    finally:
        s3["s3"].resume()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bucket.contents() == set()
    await storage.put(KEY, b"again")
    assert await storage.read(KEY) == b"again"


# A server with faults


async def test_absent_server_is_transient(storage: Storage, s3: Stack) -> None:
    """A server that is away is a passing fault, and works again when it is back."""
    await storage.put(KEY, BLOCK)
    await asyncio.to_thread(s3["s3"].kill)
    try:
        assert is_transient(await fault_of(storage))
        for call in (storage.check(), storage.put(KEY, b"other"), storage.delete(KEY)):
            with pytest.raises(OSError):
                await call
    finally:
        await asyncio.to_thread(s3["s3"].start)
    assert await storage.read(KEY) == BLOCK


async def test_writer_reports_dead_server(storage: Storage, s3: Stack) -> None:
    """A writer whose server dies says so."""
    with pytest.raises(OSError):
        async with storage.writer(KEY) as writer:
            await writer.write(BLOCK)
            await asyncio.to_thread(s3["s3"].kill)
            try:
                await writer.write(BLOCK * BLOCKS_OF_A_PART)
            finally:
                await asyncio.to_thread(s3["s3"].start)
    with pytest.raises(ObjectMissing):
        await storage.read(KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"STORAGE_URI": "s3://no-such-bucket"},
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        {"AWS_ACCESS_KEY_ID": "nobody"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_mendable_fault_is_transient(bucket: Bucket, wrong: dict[str, str]) -> None:
    """What an operator can mend is a passing fault, and not a missing object."""
    storage = bucket.raw_storage(**wrong)
    with pytest.raises(OSError):
        await storage.check()
    with pytest.raises(OSError):
        await storage.put(KEY, BLOCK)
    assert is_transient(await fault_of(storage))
    await storage.close()


# A network with faults


class Wire:
    """A way to the server that drops the first connections, or all after so many bytes of answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.refuse = 0
        self.refused = 0
        self.cut_after: int | None = None

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The address of the near end."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refused < self.refuse:
            self.refused += 1
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ends = [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer, self.cut_after)),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        for stream in (writer, far_writer):
            stream.close()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, limit: int | None = None
    ) -> None:
        while block := await source.read(64 * 1024 if limit is None else min(limit, 64 * 1024)):
            target.write(block)
            await target.drain()
            if limit is not None:
                limit -= len(block)


async def test_failed_request_is_retried(bucket: Bucket, storage: Storage, s3: Stack) -> None:
    """A request that fails is tried again before anybody hears of it."""
    await storage.put(KEY, BLOCK)
    wire = Wire(s3["s3"].port)
    async with wire.laid() as address:
        near = bucket.raw_storage(AWS_ENDPOINT_URL=address)
        wire.refuse = 2
        assert await near.read(KEY) == BLOCK
        assert wire.refused == 2
        await near.close()


async def test_short_answer_is_transient(bucket: Bucket, storage: Storage, s3: Stack) -> None:
    """An answer that ends early is a passing fault, and not a short object."""
    await storage.put(KEY, BLOCK * 4)
    wire = Wire(s3["s3"].port)
    async with wire.laid() as address:
        near = bucket.raw_storage(AWS_ENDPOINT_URL=address)
        for wire.cut_after in (len(BLOCK), 3 * len(BLOCK), 100):
            assert is_transient(await fault_of(near))
        wire.cut_after = None
        assert await near.read(KEY) == BLOCK * 4
        await near.close()
