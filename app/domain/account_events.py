"""Events that no document of an action tells: of credentials, limits, starts that failed, and dead letters.

They are counted by the minute: one event stands for all of a kind, of an account, an address, a code and an action in
it. So whoever does the same again and again makes no more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.access import Role, Unauthenticated
from app.domain.actions import PLATFORM
from app.domain.api_keys import InactiveKey
from app.domain.dead_letters import DeadLetter
from app.domain.events import MAX_MESSAGE, Event, EventType, Level, bounded

#: The code of the event that stands for all that are not told alone: there were too many in a minute.
OTHERS = "OTHERS"

#: Why a credential was refused.
KEY_UNKNOWN, TOKEN_INVALID = "CREDENTIAL_UNKNOWN", "TOKEN_INVALID"

_LEVELS = {
    EventType.CREDENTIAL_REFUSED: Level.WARNING,
    EventType.LIMIT_HIT: Level.WARNING,
    EventType.DISPATCH_FAILED: Level.WARNING,
    EventType.DEAD_LETTER_STORED: Level.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened, as often as it did in a minute.

    Attributes:
        type: What.
        account_id: Whose it is; None: nobody knows whose.
        source: The network address that it came from.
        code: Of which kind it is.
        action_id: The action that it is about.
        message: A sentence for a person.
        actor: Who did it.
    """

    type: EventType
    account_id: str | None
    source: str | None = None
    code: str | None = None
    action_id: str | None = None
    message: str
    actor: str | None = None

    @property
    def name(self) -> str:
        """What is counted together, by its kind, account, address, code and action."""
        parts = (self.account_id, self.source, self.code, self.action_id)
        return ":".join([self.type, *(bounded(part) or "-" for part in parts)])

    def event(self, at: datetime, count: int) -> Event:
        """Return the event of this in the minute of a time, when it happened first, as often as ``count``."""
        return Event(
            id=f"{self.name}:{at:%Y-%m-%dT%H:%MZ}",
            at=at,
            account_id=self.account_id,
            type=self.type,
            level=_LEVELS.get(self.type, Level.INFO),
            message=bounded(self.message, MAX_MESSAGE) or "",
            action_id=self.action_id,
            code=bounded(self.code),
            actor=bounded(self.actor),
            source=bounded(self.source),
            count=count,
        )

    def as_others(self) -> Happening:
        """Return what stands for this where there is too much of its type: no account's, from nowhere."""
        return Happening(
            type=self.type, account_id=None, code=OTHERS, message="There were more of these than are told."
        )


def minute_of(at: datetime) -> datetime:
    """Return the beginning of a minute."""
    return at.replace(second=0, microsecond=0)


def counted_until(event: Event) -> datetime:
    """Return when the minute of an event is over, and all that happened in it is counted, if nothing is away."""
    return minute_of(event.at) + timedelta(seconds=90)


def credential_refused(error: Unauthenticated, *, token: bool, source: str | None) -> Happening:
    """Return that a credential is not valid; it is an account's if it was a key of it."""
    if isinstance(error, InactiveKey):
        code, reason = f"KEY_{error.state.upper()}", f"the key is {error.state}"
        key = error.key
        return Happening(
            type=EventType.CREDENTIAL_REFUSED,
            account_id=key.account_id,
            source=source,
            code=code,
            message=f"A credential was refused: {reason}.",
            actor=key.principal.name,
        )
    return Happening(
        type=EventType.CREDENTIAL_REFUSED,
        account_id=None,
        source=source,
        code=TOKEN_INVALID if token else KEY_UNKNOWN,
        message="A credential was refused: it is not valid.",
    )


def key_made(account_id: str, key_id: str, role: Role, by: str) -> Happening:
    """Return that somebody has made an API key."""
    return Happening(
        type=EventType.KEY_MADE,
        account_id=account_id,
        code=key_id,
        message=f"The key {key_id} with the role {role} was made.",
        actor=by,
    )


def key_revoked(account_id: str, key_id: str, by: str) -> Happening:
    """Return that somebody has revoked an API key."""
    return Happening(
        type=EventType.KEY_REVOKED,
        account_id=account_id,
        code=key_id,
        message=f"The key {key_id} was revoked.",
        actor=by,
    )


def limit_hit(account_id: str, code: str, *, source: str | None, actor: str) -> Happening:
    """Return that a limit has refused a request."""
    return Happening(
        type=EventType.LIMIT_HIT,
        account_id=account_id,
        source=source,
        code=code,
        message="A request was refused, because a limit was reached.",
        actor=actor,
    )


def dispatch_failed(account_id: str, action_id: str, reason: str) -> Happening:
    """Return that an action could not be announced to the workers."""
    return Happening(
        type=EventType.DISPATCH_FAILED,
        account_id=account_id,
        action_id=action_id,
        message=f"The action could not be announced to the workers, which is tried again: {reason}",
        actor=PLATFORM,
    )


def dead_letter_stored(letter: DeadLetter) -> Happening:
    """Return that a message was given up."""
    return Happening(
        type=EventType.DEAD_LETTER_STORED,
        account_id=letter.account_id,
        action_id=letter.action_id,
        code=letter.kind,
        message=f"A message could not be done and was stored as a dead letter: {letter.error}",
        actor=PLATFORM,
    )


def dead_letter_replayed(letter: DeadLetter, by: str) -> Happening:
    """Return that somebody has sent a dead letter again."""
    return Happening(
        type=EventType.DEAD_LETTER_REPLAYED,
        account_id=letter.account_id,
        action_id=letter.action_id,
        code=letter.kind,
        message="A dead letter was sent again.",
        actor=by,
    )
