"""Replays of dead letters: DEAD → REPLAYED → DONE, or back to DEAD with the reason.

What a replay needs is stored, so each of its steps can be taken by anybody, again and again: a letter that is REPLAYED
is looked at by the clean-up until it is one or the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.context import AppContext
from app.domain.actions import ENDED, Status
from app.domain.dead_letters import Obstacle
from app.domain.stalls import pause
from app.kafka.messages import Chunk
from app.services.claim_recovery import store_dead_owners
from app.services.completion import recount

#: So often a chunk is sent without having an outcome, or dying again, before its letter is DEAD again.
_MAX_SENDS = 10

NO_OUTCOME = f"The chunk was sent {_MAX_SENDS} times and had no outcome."


async def obstacle(context: AppContext, letter: Mapping[str, Any]) -> Obstacle | None:
    """Return why a letter cannot be replayed; None when it can."""
    if context.topics.named(letter["origin"]["topic"]) is None or not letter["complete"]:
        return Obstacle.NOT_REPLAYABLE
    if letter["kind"] != "CHUNK":
        return None
    action = await context.store.actions.get(letter["actionId"])
    if action is None or action["status"] in (Status.FAILED, Status.CANCELLED):
        return Obstacle.ACTION_OVER
    return Obstacle[name] if (name := letter.get("obstacle")) else None


async def start(context: AppContext, letter: Mapping[str, Any]) -> bool:
    """Begin a replay; False when somebody else was first. What is left to do is done by the clean-up.

    Raises:
        TimeoutError, faust.exceptions.FaustError, aiokafka.errors.KafkaError: the broker does not take the message;
            the letter is DEAD as before.
    """
    letters = context.store.dead_letters
    later = datetime.now(UTC) + timedelta(seconds=context.settings.stall_timeout)
    if not await letters.claim_replay(letter["_id"], later):
        return False
    if letter["kind"] == "CHUNK":
        action = await context.store.actions.get(letter["actionId"])
        if action is None or (action["status"] in ENDED and await context.store.ledger.owners(letter["_id"]) is None):
            # First its duplicates are to be found out, which may take longer than a request.
            await letters.look_at(letter["_id"], datetime.now(UTC))
            return True
    try:
        await send(context, {**letter, "sends": 0})
    except Exception:
        await letters.return_replay(letter["_id"])
        raise
    return True


async def send(context: AppContext, letter: Mapping[str, Any]) -> None:
    """Send the message of a letter to where it came from, as far as everything is there that its replay needs.

    Raises:
        TimeoutError, faust.exceptions.FaustError, aiokafka.errors.KafkaError: the broker may not have it.
    """
    letters, channel = context.store.dead_letters, context.topics.named(letter["origin"]["topic"])
    if channel is None:
        await letters.bury_again(letter["_id"], Obstacle.NOT_REPLAYABLE)
        return
    if letter["kind"] != "CHUNK":
        await channel.send_raw(letter["key"], letter["payload"])
        await letters.finish(letter["_id"])
        return
    sends = letter.get("sends", 0) + 1
    payload = Chunk.decode(letter["payload"]).model_copy(update={"replay": True, "attempt": 0}).encode()
    await channel.send_raw(letter["key"], payload)
    first = timedelta(seconds=context.settings.stall_timeout)
    await letters.note_sent(letter["_id"], sends, datetime.now(UTC) + pause(first, sends - 1))


async def go_on(context: AppContext, letter: Mapping[str, Any]) -> None:
    """Take the next step of a replay that has not ended: what it is follows from what is stored.

    Raises:
        Exception: something is away; the next look goes on.
    """
    letters = context.store.dead_letters
    if letter["kind"] != "CHUNK":
        await send(context, letter)
        return
    action = await context.store.actions.get(letter["actionId"])
    entry = await context.store.ledger.entry(letter["_id"])
    if action is not None and entry is not None and not entry.dead:
        await conclude(context, action)
        return
    if (reason := await obstacle(context, letter)) is not None:
        await letters.bury_again(letter["_id"], reason)
    elif letter.get("sends", 0) >= _MAX_SENDS:
        await letters.bury_again(letter["_id"], NO_OUTCOME)
    else:
        if action is not None and action["status"] in ENDED:
            await store_dead_owners(context, action, [letter["index"]])
            current = await letters.get(letter["_id"])
            if current is None or current.get("obstacle"):
                return
        await send(context, letter)


async def conclude(context: AppContext, action: Mapping[str, Any]) -> None:
    """Correct the counters of an action, then mark its letters DONE whose chunk has an outcome."""
    action_id, letters = action["_id"], context.store.dead_letters
    if action["status"] in ENDED:
        await recount(context, action_id, action["chunkCount"])
    open_letters = await letters.open_chunks(action_id)
    entries = await context.store.ledger.summaries(open_letters)
    for name in open_letters:
        if name in entries and not entries[name].dead:
            await letters.finish(name)
