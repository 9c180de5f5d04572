"""A server of the MongoDB protocol that hands everything to a real one, but answers some writes as a script says."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import bson

from tests.support.scripted_database import STATEMENTS, Command, Script, answered

#: Length of the whole, id of the request, id of the request that is answered, kind.
_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
#: Kinds of sections of such a message: one document, or a named sequence of them.
_BODY, _SEQUENCE = 0, 1


class Message(NamedTuple):
    """A message as it travels."""

    request: int
    replied: int
    kind: int
    payload: bytes


class DatabaseProxy:
    """An address of the real server on which bulk writes to one collection are answered by a script.

    It runs in a thread of its own, and so does the script. Requests without an answer are not understood.
    """

    def __init__(self, target: int, collection: str, script: Script) -> None:
        self._target, self._collection, self._script = target, collection, script
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def start(self) -> None:
        """Listen, on ``port``."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def close(self) -> None:
        """Stop listening and close the connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(client, answers))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            server, requests = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            answers.close()
            return

        async def ask(message: Message) -> Message:
            # A driver waits for the answer before it sends the next request.
            await _send(requests, message)
            return await _receive(server)

        try:
            while True:
                await _send(answers, await self._answer(await _receive(client), ask))
        except (OSError, asyncio.IncompleteReadError):
            return  # one of the two has closed its connection
        finally:
            answers.close()
            requests.close()

    async def _answer(self, message: Message, ask: Callable[[Message], Awaitable[Message]]) -> Message:
        command = _read(message.payload) if message.kind == _OP_MSG else {}
        if not any(command.get(name) == self._collection for name in STATEMENTS):
            return await ask(message)

        async def run(reduced: Command) -> Command:
            return _read((await ask(message._replace(payload=_written(reduced)))).payload)

        reply = await answered(self._script, command, run)
        return Message(0, message.request, _OP_MSG, _written(reply))


@contextmanager
def database_proxy(target: int, collection: str, script: Script) -> Iterator[DatabaseProxy]:
    """A proxy in front of a port of this machine."""
    proxy = DatabaseProxy(target, collection, script)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


async def _receive(source: asyncio.StreamReader) -> Message:
    length, request, replied, kind = _HEADER.unpack(await source.readexactly(_HEADER.size))
    return Message(request, replied, kind, await source.readexactly(length - _HEADER.size))


async def _send(sink: asyncio.StreamWriter, message: Message) -> None:
    sink.write(_HEADER.pack(_HEADER.size + len(message.payload), *message[:3]) + message.payload)
    await sink.drain()


def _read(payload: bytes) -> Command:
    """The command, or reply, of a message: its body, with the sequences in their places."""
    command: Command = {}
    position = 4  # behind the flags
    while position < len(payload):
        kind, start = payload[position], position + 1
        (size,) = struct.unpack_from("<i", payload, start)
        position = start + size
        if kind == _BODY:
            command |= bson.decode(payload[start:position])
            continue
        assert kind == _SEQUENCE
        name_end = payload.index(b"\0", start + 4)
        command[payload[start + 4 : name_end].decode()] = bson.decode_all(payload[name_end + 1 : position])
    return command


def _written(command: Command) -> bytes:
    return struct.pack("<iB", 0, _BODY) + bson.encode(command)
