"""The application with faults built in, for tests only: ``faust -A tests.faults.injected worker``.

The variable INJECT is a JSON object of the faults below; production code knows nothing of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver

import agents.processor
from app import main
from app.adapters.mongo.actions import Actions
from app.adapters.mongo.dead_letters import DeadLetters
from app.adapters.mongo.erased_actions import ErasedActions
from app.adapters.mongo.erased_deletions import ErasedDeletions
from app.adapters.mongo.ledger import Ledger
from app.adapters.mongo.records import Records
from app.adapters.mongo.stream_chunks import StreamChunks
from app.adapters.redis.claims import Claims
from app.adapters.search import EventIndex
from app.adapters.storage import local
from app.kafka import consumer
from app.kafka.messages import Chunk
from app.kafka.topics import Channel
from app.settings import get_settings
from tables.progress import ProgressTable

INJECT: dict[str, Any] = json.loads(os.environ.get("INJECT", "{}"))

#: Where the process can be killed: the class and its method, before or after the nth call of it.
KILL_POINTS: dict[str, tuple[Any, str, str]] = {
    "uploading": (local._GrowingFile, "write", "before"),
    "feeding": (Channel, "send", "after"),
    "dispatching": (Channel, "send", "before"),
    "claimed": (Records, "compare", "before"),
    "compared": (Records, "compare", "after"),
    "planned": (Ledger, "record_plan", "after"),
    "written": (Records, "_write", "after"),
    "closed": (Ledger, "close", "after"),
    "counting": (ProgressTable, "set", "after"),
    "flushing": (Actions, "record_progress", "before"),
    "replaying": (DeadLetters, "claim_replay", "after"),
    "recounted": (Actions, "correct_counts", "after"),
    "ended": (Actions, "end", "after"),
    "retrying": (Actions, "link_retry", "before"),
    "numbered": (Actions, "take_number", "after"),
    "stored": (StreamChunks, "add", "before"),
    "arrived": (StreamChunks, "add", "after"),
    "summed": (Actions, "note_chunk", "after"),
    "sealing": (Actions, "seal", "before"),
    "sealed": (Actions, "seal", "after"),
    "indexing": (EventIndex, "write", "before"),
    "indexed": (EventIndex, "write", "after"),
    # The steps of a deletion
    "marked": (Actions, "begin_deletion", "after"),
    "expired": (Actions, "delete_expired", "after"),
    "noted": (ErasedDeletions, "note", "after"),
    "without letters": (DeadLetters, "remove_all", "after"),
    "without outcomes": (Ledger, "remove", "after"),
    "without claims": (Claims, "release", "after"),
    "without objects": (local.LocalStorage, "delete", "after"),
    "remembered": (ErasedActions, "add", "after"),
    "removed": (Actions, "remove", "after"),
    "swept": (ErasedActions, "finish_sweep", "before"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill(point: str, nth: int) -> None:
    """SIGKILL the process at the nth call of a kill point."""
    owner, name, moment = KILL_POINTS[point]
    original = getattr(owner, name)
    calls = 0

    def due() -> bool:
        nonlocal calls
        calls += 1
        return calls >= nth

    if asyncio.iscoroutinefunction(original):

        async def replaced(*args: Any, **kwargs: Any) -> Any:
            dying = due()
            if dying and moment == "before":
                _die()
            result = await original(*args, **kwargs)
            if dying:
                _die()
            return result
    else:

        def replaced(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if due():
                _die()
            return result

    setattr(owner, name, replaced)


def deliver_twice() -> None:
    """Send every message two times."""

    async def twice(send: Callable[[], Awaitable[None]], channel: Channel) -> None:
        await send()
        await send()

    _wrap_send(twice)


def drop(one_in: int, topic: str | None = None) -> None:
    """Lose one message in so many (of a topic), drawn with a fixed seed, and say that it was sent."""
    draw = random.Random(7)

    async def dropping(send: Callable[[], Awaitable[None]], channel: Channel) -> None:
        if topic in (None, channel.name) and draw.randrange(one_in) == 0:
            return
        await send()

    _wrap_send(dropping)


def disorder() -> None:
    """Send the results of chunks late and out of order."""
    draw = random.Random(11)
    tasks: set[asyncio.Task[None]] = set()

    async def later(send: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(draw.uniform(0, 1))
        await send()

    async def delayed(send: Callable[[], Awaitable[None]], channel: Channel) -> None:
        if not channel.name.endswith(".results"):
            await send()
            return
        task = asyncio.create_task(later(send))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    _wrap_send(delayed)


def fail_chunk(index: int, transient: bool = False) -> None:
    """Let one chunk fail always."""
    original = agents.processor._run

    async def replaced(chunk: Chunk, *args: Any, **kwargs: Any) -> Any:
        if chunk.index == index:
            raise ConnectionError("injected") if transient else RuntimeError("injected")
        return await original(chunk, *args, **kwargs)

    agents.processor._run = replaced


def slow_writes(seconds: float) -> None:
    """Let every bulk write take longer."""
    original = Records._write

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(seconds)
        return await original(*args, **kwargs)

    Records._write = replaced  # type: ignore[method-assign]


def slow_close(seconds: float) -> None:
    """Let it take longer until what was written has an outcome."""
    original = Ledger.close

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(seconds)
        return await original(*args, **kwargs)

    Ledger.close = replaced  # type: ignore[method-assign]


def no_repair() -> None:
    """Consume as Faust comes, without the repair of its delivery."""
    consumer.RepairedTransport = driver.Transport  # type: ignore[misc]


def hang_chunks() -> None:
    """Let a handler wait for something that never comes."""

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()

    agents.processor._run = replaced


def hold_up() -> None:
    """Let a handler never let the event loop go on."""

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        while True:
            await done  # what has ended is no wait

    agents.processor._run = replaced


def stop_fetching(after: int) -> None:
    """Let the consumer give nothing more to its streams after so many records."""
    original = consumer.RepairedConsumer.getmany
    given = 0

    async def replaced(self: Any, timeout: float) -> AsyncIterator[Any]:
        nonlocal given
        if given >= after:
            await asyncio.sleep(timeout)
            return
        async for record in original(self, timeout):
            given += 1
            yield record

    consumer.RepairedConsumer.getmany = replaced  # type: ignore[method-assign]


def hold_recovery(gate: str) -> None:
    """Hold the end of the tables' recovery at a gate, a directory: say ``reached``, wait for ``open``."""
    original = Recovery.on_recovery_completed

    async def held(*args: Any, **kwargs: Any) -> None:
        (Path(gate) / "reached").touch()
        while not (Path(gate) / "open").exists():
            await asyncio.sleep(0.05)
        await original(*args, **kwargs)

    Recovery.on_recovery_completed = held


def everybody_leads() -> None:
    """Let this worker believe that it leads, whatever the others believe."""
    main.BulkApp.is_leader = lambda self: True


def clock_ahead(seconds: float) -> None:
    """Let this worker's clock be so far ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"app", "agents", "web"} and vars(module).get("datetime") is datetime:
            module.datetime = Ahead  # type: ignore[attr-defined]


def _wrap_send(around: Callable[[Callable[[], Awaitable[None]], Channel], Awaitable[None]]) -> None:
    original = Channel.send_raw

    async def replaced(self: Channel, *args: Any, **kwargs: Any) -> None:
        await around(lambda: original(self, *args, **kwargs), self)

    Channel.send_raw = replaced  # type: ignore[method-assign]


FAULTS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        kill,
        deliver_twice,
        drop,
        disorder,
        fail_chunk,
        slow_writes,
        slow_close,
        no_repair,
        hang_chunks,
        hold_up,
        stop_fetching,
        hold_recovery,
        everybody_leads,
        clock_ahead,
    )
}

for name, arguments in INJECT.items():
    FAULTS[name](**arguments)

app = main.create_app(get_settings())  # type: ignore[assignment]
