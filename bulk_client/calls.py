"""The requests of the API and how their answers are read, without any I/O: both clients are made of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from bulk_client.errors import UnexpectedAnswer
from bulk_client.models import (
    Accepted,
    Action,
    DeadLetter,
    Entity,
    Failures,
    Found,
    Model,
    Record,
    Row,
    Statistics,
)
from bulk_client.uploads import PackedReader, Upload

T = TypeVar("T")
M = TypeVar("M", bound=Model)

#: Entries of a page, where a list is gone through.
PAGE: Final = 500
IDEMPOTENCY_KEY: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and how its answer is read.

    Attributes:
        method: The HTTP method.
        path: Of the API, below the server's URL.
        read: Makes the result of the answer; raises ``UnexpectedAnswer``.
        query: The parameters; those that are None are left out.
        json: The body; None: there is none.
        headers: Beside those that each request has.
        form: Fields of a form that is sent with the file.
        file: Name and bytes of the file of the form.
        repeatable: Whether to carry it out twice is the same as once, so that it may be sent again when the
            connection broke.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    file: tuple[str, PackedReader] | None = None
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list, and the cursor of the next one; None: it is the last."""

    entries: list[T]
    following: str | None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise UnexpectedAnswer("The answer is no JSON: is this the URL of the API?") from None


def _one(model: type[M]) -> Callable[[httpx.Response], M]:
    return lambda response: model.read(_json(response))


def _page(model: type[M]) -> Callable[[httpx.Response], Page[M]]:
    def read(response: httpx.Response) -> Page[M]:
        entries = _json(response)
        if not isinstance(entries, list):
            raise UnexpectedAnswer(f"The answer is no list of {model.__name__}.")
        return Page([model.read(entry) for entry in entries], following_of(response))

    return read


def _with_following(model: type[M]) -> Callable[[httpx.Response], M]:
    """Read an answer that has a page in it."""

    def read(response: httpx.Response) -> M:
        found = model.read(_json(response))
        return found.model_copy(update={"following": following_of(response)})

    return read


def following_of(response: httpx.Response) -> str | None:
    """Return the cursor of the next page.

    Only the cursor is taken of the link: its path may be that behind a gateway, and a credential goes to no other host.
    """
    link = response.links.get("next")
    cursors = parse_qs(urlsplit(link["url"]).query).get("cursor") if link and "url" in link else None
    return cursors[0] if cursors else None


def segment(text: str) -> str:
    """Return text as one segment of a path: nothing in it makes another path of it."""
    # A dot alone would be taken for the folder itself.
    return {".": "%2E", "..": "%2E%2E"}.get(text) or quote(text, safe="")


def _of_action(action_id: str, part: str = "") -> str:
    return f"/bulk-actions/{segment(action_id)}{part}"


def _accepted(response: httpx.Response) -> Accepted:
    taken = Accepted.read(_json(response))
    return taken.model_copy(update={"repeated": response.headers.get("Idempotency-Replayed") == "true"})


def _nothing(_response: httpx.Response) -> None:
    return None


def _text(response: httpx.Response) -> str:
    return response.text


def _moment(value: Any) -> Any:
    """Return a time as ISO 8601, anything else as it is."""
    return value.isoformat() if isinstance(value, datetime) else value


def upload(options: Upload, name: str, reader: PackedReader, key: str | None) -> Call[Accepted]:
    """Send a file; without a key it cannot be sent again when the connection broke."""
    return Call(
        method="POST",
        path="/bulk-actions",
        read=_accepted,
        headers={} if key is None else {IDEMPOTENCY_KEY: key},
        form=options.form(),
        file=(name, reader),
        repeatable=key is not None,
    )


def actions(*, status: str | None, entity_type: str | None, limit: int, cursor: str | None) -> Call[Page[Action]]:
    """List actions, newest first."""
    query = {"status": status, "entityType": entity_type, "limit": limit, "cursor": cursor}
    return Call(method="GET", path="/bulk-actions", query=query, read=_page(Action))


def action(action_id: str) -> Call[Action]:
    """Show an action."""
    return Call(method="GET", path=_of_action(action_id), read=_one(Action))


def statistics(action_id: str) -> Call[Statistics]:
    """Show the counters of an action."""
    return Call(method="GET", path=_of_action(action_id, "/stats"), read=_one(Statistics))


def rows(action_id: str, *, status: str | None, limit: int, cursor: str | None) -> Call[Page[Row]]:
    """List what became of each row."""
    query = {"status": status, "limit": limit, "cursor": cursor}
    return Call(method="GET", path=_of_action(action_id, "/records"), query=query, read=_page(Row))


def failures(action_id: str, *, limit: int | None) -> Call[Failures]:
    """Show the failures of an action by what is wrong."""
    return Call(method="GET", path=_of_action(action_id, "/failures"), query={"limit": limit}, read=_one(Failures))


def results(action_id: str, *, statuses: str | None, ndjson: bool) -> Call[None]:
    """Download the rows with what became of each; the body is read as it comes."""
    return Call(
        method="GET",
        path=_of_action(action_id, "/results"),
        query={"status": statuses},
        headers={"Accept": "application/x-ndjson" if ndjson else "text/csv"},
        read=_nothing,
    )


def steer(action_id: str, step: str, reason: str | None) -> Call[Action]:
    """``cancel``, ``pause`` or ``resume`` an action."""
    return Call(
        method="POST",
        path=_of_action(action_id, f"/{step}"),
        json=None if reason is None else {"reason": reason},
        read=_one(Action),
        repeatable=False,
    )


def reschedule(action_id: str, at: datetime | str | None) -> Call[Action]:
    """Move the schedule of an action; None: now."""
    return Call(
        method="PATCH",
        path=_of_action(action_id),
        json={"scheduledAt": _moment(at)},
        read=_one(Action),
        repeatable=False,
    )


def delete(action_id: str) -> Call[None]:
    """Delete an action that has ended."""
    return Call(method="DELETE", path=_of_action(action_id), read=_nothing)


def retry(action_id: str, key: str) -> Call[Accepted]:
    """Run the rows again that failed."""
    headers = {IDEMPOTENCY_KEY: key}
    return Call(method="POST", path=_of_action(action_id, "/retry"), headers=headers, read=_accepted)


def entities() -> Call[Page[Entity]]:
    """List what can be imported."""
    return Call(method="GET", path="/entities", read=_page(Entity))


def schema(entity_type: str) -> Call[dict[str, Any]]:
    """Return the JSON Schema of a row."""
    return Call(method="GET", path=f"/entities/{segment(entity_type)}", read=_json)


def template(entity_type: str) -> Call[str]:
    """Return an empty file."""
    return Call(method="GET", path=f"/entities/{segment(entity_type)}/template.csv", read=_text)


def record(entity_type: str, record_id: str, *, limit: int | None, cursor: str | None) -> Call[Record]:
    """Show a record and a page of its history."""
    path = f"/records/{segment(entity_type)}/{segment(record_id)}"
    return Call(method="GET", path=path, query={"limit": limit, "cursor": cursor}, read=_with_following(Record))


def dead_letters(
    *, action_id: str | None, status: str | None, limit: int, cursor: str | None
) -> Call[Page[DeadLetter]]:
    """List what could not be done, newest first."""
    query = {"actionId": action_id, "status": status, "limit": limit, "cursor": cursor}
    return Call(method="GET", path="/dead-letters", query=query, read=_page(DeadLetter))


def replay(letter_id: str) -> Call[None]:
    """Run a dead letter again."""
    return Call(method="POST", path=f"/dead-letters/{segment(letter_id)}/replay", read=_nothing, repeatable=False)


#: The names of the parameters of a search, by those of the arguments.
SEARCH_PARAMETERS: Final = {
    "text": "q",
    "level": "level",
    "type": "type",
    "code": "code",
    "status": "status",
    "row": "row",
    "record_id": "recordId",
    "email": "email",
    "since": "from",
    "until": "to",
    "entity_type": "entityType",
    "limit": "limit",
    "cursor": "cursor",
}


def search(action_id: str | None, **asked: Any) -> Call[Found]:
    """Search the events of the account, or of one action."""
    query = {
        SEARCH_PARAMETERS[name]: _moment(value) if isinstance(value, datetime) else value
        for name, value in asked.items()
    }
    path = "/search" if action_id is None else _of_action(action_id, "/logs")
    return Call(method="GET", path=path, query=query, read=_with_following(Found))
