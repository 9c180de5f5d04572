"""Replays of dead letters: DEAD → REPLAYED → DONE, or back to DEAD with the reason.

What a replay needs is stored, so each of its steps can be taken by anybody, again and again: a letter that is REPLAYED
is reviewed by the clean-up until it is one or the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.context import AppContext
from app.domain.actions import Action
from app.domain.dead_letters import DeadLetter, Kind, Obstacle
from app.domain.rejected_events import named_events
from app.domain.stalls import pause
from app.kafka.messages import Chunk
from app.services.claim_recovery import store_dead_owners
from app.services.completion import recount
from app.services.retention import expire_parts

#: So often a chunk is sent without having an outcome, or dying again, before its letter is DEAD again.
_MAX_SENDS = 10

NO_OUTCOME = f"The chunk was sent {_MAX_SENDS} times and had no outcome."


async def find_obstacle(context: AppContext, letter: DeadLetter) -> Obstacle | None:
    """Return why a letter cannot be replayed; None when it can."""
    if letter.kind == Kind.ROWS:
        return Obstacle.ROWS_REFUSED
    if letter.kind == Kind.EVENTS:
        return Obstacle.NO_INDEX if context.index is None else None
    if context.topics.named(letter.origin.topic) is None or not letter.complete:
        return Obstacle.NOT_REPLAYABLE
    if letter.kind != Kind.CHUNK:
        return None
    action = await _action_of(context, letter)
    return Obstacle.ACTION_OVER if action is None or action.aborted else letter.obstacle


async def start_replay(context: AppContext, letter: DeadLetter, by: str | None = None) -> bool:
    """Begin a replay that somebody has asked for; False when somebody else was first.

    What is left to do is done by the clean-up.

    Raises:
        TimeoutError, app.domain.faults.PassingFault: the broker does not take the message;
            the letter is DEAD as before.
    """
    letters = context.store.dead_letters
    later = datetime.now(UTC) + timedelta(seconds=context.settings.stall_timeout)
    if not await letters.claim_replay(letter.id, later, by):
        return False
    if letter.kind == Kind.CHUNK:
        action = await _action_of(context, letter)
        if action is None or (action.ended and await context.store.ledger.owners(letter.id) is None):
            # First its duplicates are to be found out, which may take longer than a request.
            await letters.review_replay_at(letter.id, datetime.now(UTC))
            return True
    try:
        await _send(context, replace(letter, sends=0))
    except Exception:
        await letters.return_replay(letter.id)
        raise
    return True


async def continue_replay(context: AppContext, letter: DeadLetter) -> None:
    """Take the next step of a replay that has not ended: what it is follows from what is stored.

    Raises:
        Exception: something is away; the next review goes on.
    """
    letters = context.store.dead_letters
    if letter.kind != Kind.CHUNK:
        await _send(context, letter)
        return
    action = await _action_of(context, letter)
    entry = await context.store.ledger.entry(letter.id)
    if action is not None and entry is not None and not entry.dead:
        await finish_replays(context, action)
        return
    if (reason := await find_obstacle(context, letter)) is not None:
        await letters.fail_replay(letter.id, reason)
    elif letter.sends >= _MAX_SENDS:
        await letters.fail_replay(letter.id, NO_OUTCOME)
    else:
        if action is not None and action.ended and letter.index is not None:
            await store_dead_owners(context, action, [letter.index])
            current = await letters.get(letter.id)
            if current is None or current.obstacle is not None:
                return
        await _send(context, letter)


async def finish_replays(context: AppContext, action: Action) -> None:
    """Correct the counters of an action, then mark its letters DONE whose chunk has an outcome."""
    letters = context.store.dead_letters
    if action.ended:
        await recount(context, action.id, action.chunk_count)
    open_letters = await letters.open_chunks(action.id)
    entries = await context.store.ledger.summaries(open_letters)
    done = [name for name in open_letters if name in entries and not entries[name].dead]
    if done:
        # Their entries have taken the place of others.
        await expire_parts(context, action)
    for name in done:
        await letters.mark_done(name)


async def _send(context: AppContext, letter: DeadLetter) -> None:
    """Send the message of a letter to where it came from, as far as everything is there that its replay needs.

    Raises:
        TimeoutError, app.domain.faults.PassingFault: the broker may not have it.
    """
    letters, channel = context.store.dead_letters, context.topics.named(letter.origin.topic)
    if letter.kind == Kind.EVENTS:
        # The indexer goes on with it. What is refused again becomes the same letter again.
        now = datetime.now(UTC)
        if letter.action_id is not None:
            await context.store.index_queue.index_again(letter.action_id, letter.index, now)
        else:
            await context.store.events.index_again(now, named_events(letter))
        await letters.mark_done(letter.id)
        return
    if channel is None:
        await letters.fail_replay(letter.id, Obstacle.NOT_REPLAYABLE)
        return
    if letter.kind != Kind.CHUNK:
        await channel.send_raw(letter.key, letter.payload)
        await letters.mark_done(letter.id)
        return
    payload = Chunk.decode(letter.payload).model_copy(update={"replay": True, "attempt": 0}).encode()
    await channel.send_raw(letter.key, payload)
    first = timedelta(seconds=context.settings.stall_timeout)
    await letters.record_send(letter.id, letter.sends + 1, datetime.now(UTC) + pause(first, letter.sends))


async def _action_of(context: AppContext, letter: DeadLetter) -> Action | None:
    return None if letter.action_id is None else await context.store.actions.get(letter.action_id)
