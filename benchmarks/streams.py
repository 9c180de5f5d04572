"""What streams of events cost a worker: memory for each, and how long until all are told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil

from benchmarks.bed import Bed
from benchmarks.report import Table, median, say
from tests.support.files import contacts_csv
from tests.support.workers import Worker

_FILE = contacts_csv("1,Ada,ada@example.com,active")
_REQUEST = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def measure(bed: Bed, *, streams: int = 1000, uploads: int = 10) -> tuple[list[Table], dict[str, Any]]:
    """Open streams at one worker, and let it tell all of them about some small actions."""
    worker = bed.start_worker(MAX_EVENT_STREAMS=str(streams), MAX_EVENT_STREAMS_PER_ACCOUNT=str(streams))
    worker.wait_ended(worker.submit(_FILE))
    figures = asyncio.run(_measure(worker, streams, uploads))
    bed.stop_workers()
    table = Table(f"Streams of events, {streams:,} at one worker", ["what", "measured"])
    table.add("memory of the worker for each, KiB", f"{figures['bytes per stream'] / 1024:.1f}")
    table.add(
        "from the answer to an upload to its end at the last stream, ms, median", f"{1000 * figures['told']:,.0f}"
    )
    table.add("the same with one stream", f"{1000 * figures['told to one']:,.0f}")
    return [table], figures


async def _measure(worker: Worker, streams: int, uploads: int) -> dict[str, float]:
    assert worker.process is not None
    process = psutil.Process(worker.process.pid)
    first = await _open(worker)
    alone = [await _told(worker, [first]) for _ in range(uploads)]
    before = process.memory_info().rss
    more = [await _open(worker) for _ in range(streams - 1)]
    opened = process.memory_info().rss
    together = [await _told(worker, [first, *more]) for _ in range(uploads)]
    after = max(opened, process.memory_info().rss)
    for _, writer in (first, *more):
        writer.close()
    say(f"{streams} streams: {(after - before) / 1024**2:.0f} MiB")
    return {
        "bytes per stream": (after - before) / (streams - 1),
        "told": median(together),
        "told to one": median(alone),
    }


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _open(worker: Worker) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(_REQUEST)
    await reader.readuntil(b"retry:")
    return reader, writer


async def _told(worker: Worker, streams: list[Stream]) -> float:
    """Return the seconds from the answer to an upload until every stream has its end."""
    action = (await asyncio.to_thread(worker.submit, _FILE)).encode()
    began = time.perf_counter()

    async def ended(reader: asyncio.StreamReader) -> None:
        while True:
            line = await reader.readline()
            if action in line and b'"COMPLETED"' in line:
                return

    await asyncio.gather(*(ended(reader) for reader, _ in streams))
    return time.perf_counter() - began
