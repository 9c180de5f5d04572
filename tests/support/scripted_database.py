"""A database whose answers to bulk writes are scripted, in front of a real one or none.

The development server never steps down, copies no error of a shard and validates no document; a real one does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import bson
from pymongo import WriteConcern

Command = dict[str, Any]
#: Looks at the ids of a command's statements: returns write errors by position, or raises; the rest is written.
Script = Callable[[list[str]], Mapping[int, Mapping[str, Any]]]

#: Bulk writes: the command, and where its statements are.
STATEMENTS = {"insert": "documents", "update": "updates", "delete": "deletes"}


class ScriptedDatabase:
    """What :class:`app.adapters.mongo.Records` needs of a database."""

    write_concern = WriteConcern()

    def __init__(self, script: Script, real: Any = None) -> None:
        self._script = script
        self._real = real
        #: The ids of the statements of each bulk write.
        self.commands: list[list[str]] = []
        self.last: Command = {}

    def __getitem__(self, name: str) -> Any:
        return self._real[name]

    @property
    def delegate(self) -> Any:
        """The blocking client below the real one."""
        return self._real.delegate

    async def command(self, command: Command, **options: Any) -> Any:
        if next(iter(command)) not in STATEMENTS:
            return await self._real.command(command, **options)
        command = readable(command)
        self.last = command
        self.commands.append(ids_of(command))
        return await answered(self._script, command, _made_up if self._real is None else self._real.command)


async def answered(script: Script, command: Command, run: Callable[[Command], Awaitable[Command]]) -> Command:
    """Answer a bulk write with the errors of the script; the other statements are run."""
    ids, where = ids_of(command), _where(command)
    errors = script(ids)
    kept = [position for position in range(len(ids)) if position not in errors]
    reply: Command = {"ok": 1.0, "n": 0, "nModified": 0}
    if kept:
        reply = await run({**command, where: [command[where][position] for position in kept]})
    found = [{**entry, "index": kept[entry["index"]]} for entry in reply.get("writeErrors", ())]
    scripted = [{"index": position, **entry} for position, entry in errors.items()]
    return {**reply, "writeErrors": sorted(found + scripted, key=lambda entry: entry["index"])}


def readable(command: Command) -> Command:
    """Return a command with its statements one by one; they come in one piece of bytes."""
    where = _where(command)
    return {**command, where: [each for piece in command[where] for each in bson.decode_all(piece.raw)]}


def ids_of(command: Command) -> list[str]:
    """The ids that the statements of a bulk write are about."""
    return [str(statement.get("q", statement)["_id"]) for statement in command[_where(command)]]


def _where(command: Command) -> str:
    return STATEMENTS[next(iter(command))]


async def _made_up(command: Command) -> Command:
    return {"n": len(ids_of(command))}
