"""A database whose answers to ``update`` commands are scripted, in front of a real one or none.

The development server never steps down, copies no error of a shard and validates no document; a real one does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pymongo import WriteConcern

Command = dict[str, Any]
#: Looks at the ids of a command's statements: returns write errors by position, or raises; the rest is written.
Script = Callable[[list[str]], Mapping[int, Mapping[str, Any]]]


class ScriptedDatabase:
    """What :class:`app.adapters.store.Records` needs of a database."""

    write_concern = WriteConcern()

    def __init__(self, script: Script, real: Any = None) -> None:
        self._script = script
        self._real = real
        #: The ids of the statements of each command.
        self.commands: list[list[str]] = []
        self.last: Command = {}

    def __getitem__(self, name: str) -> Any:
        return self._real[name]

    async def command(self, command: Command) -> dict[str, Any]:
        self.last = command
        ids = [str(statement["q"]["_id"]) for statement in command["updates"]]
        self.commands.append(ids)
        errors = self._script(ids)
        kept = [position for position in range(len(ids)) if position not in errors]
        upserted: list[dict[str, Any]] = []
        if self._real is None:
            upserted = [{"index": position, "_id": ids[position]} for position in kept]
        elif kept:
            reply = await self._real.command({**command, "updates": [command["updates"][index] for index in kept]})
            upserted = [{**entry, "index": kept[entry["index"]]} for entry in reply.get("upserted", ())]
        return {
            "n": len(kept),
            "upserted": upserted,
            "writeErrors": [{"index": index, **entry} for index, entry in sorted(errors.items())],
        }
