"""The history of a record: which rows have created, changed and deleted it, once each, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from agents.dead_letters import store_dead_letter
from agents.processor import process
from app.adapters.mongo import Ledger
from app.domain.access import Principal, Role
from app.domain.cells import EmptyCells
from app.domain.entities import ENTITIES
from app.domain.outcomes import CHANGED_IDS
from app.kafka.retry_headers import RetryHeaders
from app.services import record_history
from app.services.record_history import HistoryPage, Place, page_of_history
from app.services.verification import verify
from tests.support.bench import Bench
from tests.support.fakes import event
from web.errors.problem import ApiError
from web.request_state import PRINCIPAL
from web.views.record_history import RecordView

CONTACT = ENTITIES["Contact"]


async def page(
    bench: Bench, key: str, *, begin: Place | None = None, limit: int = 50, account: str = "default"
) -> HistoryPage:
    return await page_of_history(bench.context, account, CONTACT, key, begin=begin, limit=limit)


async def history(bench: Bench, key: str, *, limit: int = 50) -> list[tuple[str, int, str]]:
    """All pages: each entry as its action, its row and what that has done."""
    found, begin = [], None
    while True:
        part = await page(bench, key, begin=begin, limit=limit)
        assert len(part.entries) <= limit
        found += [(entry.action.id, entry.row, entry.change) for entry in part.entries]
        begin = part.following
        if begin is None:
            return found


def row(key: str, name: str = "N", status: str = "active") -> str:
    return f"{key},{name},{key}@x.example,{status}"


async def run(bench: Bench, *rows: str, **options: Any) -> str:
    """An action that has ended."""
    return (await bench.finish(await bench.submit(*rows, **options))).action_id


async def test_each_change_is_named(bench: Bench) -> None:
    """Creation, change, patch, deletion and another creation, the last to start first; nothing of other rows."""
    created = await run(bench, row("x"), row("a"), row("y"))
    unchanged = await run(bench, row("a"))
    changed = await run(bench, row("b"), row("a", "Other"), row("a", "A duplicate"))
    failed = await run(bench, row("a", "New", "no status"))
    exists = await run(bench, row("a"), action_type="BULK_CREATE")
    patched = await run(
        bench, "a,Patched", action_type="BULK_PATCH", columns=("id", "name"), empty_cells=EmptyCells.SKIP
    )
    deleted = await run(bench, "z", "a", action_type="BULK_DELETE", columns=("id",))
    again = await run(bench, row("a", "Again"))
    found = await history(bench, "a")
    assert found == [
        (again, 1, "CREATED"),
        (deleted, 2, "DELETED"),
        (patched, 1, "UPDATED"),
        (changed, 2, "UPDATED"),
        (created, 2, "CREATED"),
    ]
    assert not {unchanged, failed, exists} & {action for action, *_ in found}
    assert await history(bench, "nobody") == []


async def test_only_chunks_of_it_are_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred chunks one is read: the filters of the others say that it is not in them."""
    job = await bench.finish(await bench.submit(*(row(f"k{n}") for n in range(500)), chunk_rows=5))
    read: list[list[str]] = []
    outcomes = Ledger.outcomes

    async def noted(self: Ledger, chunk_ids: list[str]) -> Any:
        read.append(chunk_ids)
        return await outcomes(self, chunk_ids)

    monkeypatch.setattr(Ledger, "outcomes", noted)
    found = await page(bench, "k342")
    assert [(entry.action.id, entry.row) for entry in found.entries] == [(job.action_id, 343)]
    assert (found.actions, found.chunks, found.following) == (1, 69, None)
    assert found.since == found.entries[0].action.started_at
    # Another one may pass a filter, one in a thousand.
    assert [job.chunk_ids[68]] in read
    assert len(read) <= 2


async def test_entries_of_older_versions_are_read(bench: Bench) -> None:
    """What was recorded without a filter is found all the same."""
    job = await bench.finish(await bench.submit(*(row(f"k{n}") for n in range(30)), chunk_rows=5))
    await bench.database["chunk_outcomes"].update_many({}, {"$unset": {CHANGED_IDS: ""}})
    assert await history(bench, "k29") == [(job.action_id, 30, "CREATED")]
    assert await history(bench, "nobody") == []
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert [text async for text in verify(bench.store, bench.storage, action)] == []


@pytest.mark.parametrize(
    "limits", [{"_PER_READ": 3, "_MOST_CHUNKS": 3}, {"_MOST_READ": 1}, {"_PER_READ": 1, "_MOST_CHUNKS": 1}]
)
async def test_pages_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]) -> None:
    """However little is looked at for a page, all pages together are the whole history, each entry once."""
    actions = [await run(bench, row("b"), row("c"), row("a", f"N{n}"), row("d"), chunk_rows=1) for n in range(4)]
    await bench.database["chunk_outcomes"].update_many({}, {"$unset": {CHANGED_IDS: ""}})
    for name, value in limits.items():
        monkeypatch.setattr(record_history, name, value)
    first = await page(bench, "a")
    assert len(first.entries) <= 1
    assert first.chunks <= 3
    assert first.following is not None
    assert [entry[0] for entry in await history(bench, "a")] == actions[::-1]


async def test_pages_have_so_many_entries(bench: Bench) -> None:
    """The limit of a page is kept, and the next one goes on behind it."""
    actions = [await run(bench, row("a", f"N{n}"), chunk_rows=1) for n in range(5)]
    assert [entry[0] for entry in await history(bench, "a", limit=2)] == actions[::-1]


async def test_order_is_that_of_the_starts(bench: Bench) -> None:
    """An action that was made earlier and started later stands before; equal starts are told apart by the id."""
    now = datetime.now(UTC).replace(microsecond=0)
    for action_id, started, name in (("2", 1, "B"), ("1", 2, "C"), ("3", 1, "A")):
        at = now + timedelta(seconds=started)
        await run(bench, row("a", name), action_id=action_id * 24, started_at=at, createdAt=now)
    assert [entry[0][0] for entry in await history(bench, "a", limit=1)] == ["1", "3", "2"]


async def test_other_accounts_see_nothing(bench: Bench) -> None:
    await run(bench, row("a"))
    assert await page(bench, "a", account="other") == HistoryPage()


async def test_a_missing_file_is_told(bench: Bench) -> None:
    """Which action may have changed the record, and can tell no more, is said; others are looked at all the same."""
    first = await run(bench, row("a"))
    gone = await bench.submit(row("a", "Other"), row("b"))
    await bench.finish(gone)
    await bench.storage.delete(f"{gone.action_id}/upload.csv")
    found = await page(bench, "a")
    assert [entry.action.id for entry in found.entries] == [first]
    assert found.unreadable == [gone.action_id]
    assert (await page(bench, "nobody")).unreadable == []


async def test_deleted_actions_tell_nothing(bench: Bench) -> None:
    """From the beginning of its deletion on an action is in no history."""
    first, second = [await run(bench, row("a", name)) for name in ("A", "B")]
    assert await bench.store.actions.begin_deletion(second, "default")
    assert await history(bench, "a") == [(first, 1, "CREATED")]
    assert (await page(bench, "a")).unreadable == []


async def test_running_actions_count(bench: Bench) -> None:
    """Of an action under way the chunks that are finished, although its counters do not say so yet."""
    job = await bench.submit(row("a"), row("b"), chunk_rows=1)
    await bench.run(job.chunks[0])
    assert await history(bench, "a") == [(job.action_id, 1, "CREATED")]
    assert await history(bench, "b") == []


async def test_unchanging_actions_are_left_out(bench: Bench) -> None:
    """An action that has ended, and changed nothing, is not looked at."""
    await run(bench, row("a"))
    await run(bench, row("a"))
    await bench.database["bulk_operations"].update_many({}, {"$unset": {"cleanupAt": ""}})
    assert (await page(bench, "a")).actions == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["ledger.record_plan", "records.insert", "records.update", "ledger.close"])
async def test_chunks_run_again_are_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """A chunk whose worker died before or after a step has the history that its plan says."""
    await run(bench, row("b", "Before"), row("c"))
    job = await bench.submit(row("a"), row("b", "After"), row("c"))
    part, name = attrgetter(step.partition(".")[0])(bench.store), step.partition(".")[2]
    whole = getattr(part, name)

    async def dying(*args: Any, **options: Any) -> None:
        if after:
            await whole(*args, **options)
        raise RuntimeError("it died")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(part, name, dying)
        await bench.run(job.chunks[0])
    for _ in range(2):
        await bench.run(job.chunks[0])
    of_job = {key: [e[1:] for e in await history(bench, key) if e[0] == job.action_id] for key in "abc"}
    assert of_job == {"a": [(1, "CREATED")], "b": [(2, "UPDATED")], "c": []}


async def test_replayed_chunks_are_told_once(bench: Bench) -> None:
    """Rows of a chunk that was given up have done nothing; once it is replayed, what they have done since."""
    job = await bench.submit(row("a"), row("b"), row("c"), chunk_rows=1)
    await bench.run(job.chunks[0], job.chunks[2])
    chunk = job.chunks[1]
    headers = RetryHeaders.after(event(topic=bench.topics.chunks.name), "it was never to be").to_headers()
    await store_dead_letter(event(chunk.encode(), topic=bench.topics.dead.name, headers=headers), bench.context)
    assert await history(bench, "b") == []
    for _ in range(2):
        await process(chunk.model_copy(update={"replay": True}), bench.context)
        assert await history(bench, "b") == [(job.action_id, 2, "CREATED")]
    await bench.finish(job)


async def test_verify_looks_at_filters(bench: Bench) -> None:
    """A filter that is not that of the rows is found."""
    job = await bench.finish(await bench.submit(row("a"), row("b")))
    other = await bench.finish(await bench.submit(row("c"), row("d")))
    ledger = bench.database["chunk_outcomes"]
    wrong = (await ledger.find_one({"_id": other.chunk_ids[0]}))[CHANGED_IDS]
    await ledger.update_one({"_id": job.chunk_ids[0]}, {"$set": {CHANGED_IDS: wrong}})
    action = await bench.store.actions.get(job.action_id)
    assert action is not None
    assert [text async for text in verify(bench.store, bench.storage, action)] == [
        "the filter of the chunk of row 1 is not that of the records that its rows changed"
    ]


# The request


class _Asked:
    """A request for a record, whose look through the ledger is held up."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, **settings: int) -> None:
        self.context = bench.platform_with(settings=bench.settings.model_copy(update=settings))
        self.looking, self.cancelled = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(bench.store.ledger, "changes", self._held)
        self.request = self.new_request()

    async def _held(self, _: Any) -> None:
        self.looking.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    @staticmethod
    def new_request() -> web.Request:
        request = make_mocked_request("GET", "/records/Contact/a")
        request[PRINCIPAL] = Principal("default", Role.VIEWER, "key 1")
        cast(Any, request.transport).is_closing.return_value = False
        return request

    async def answer(self) -> web.Response:
        view = RecordView(cast(Any, SimpleNamespace(context=self.context)), cast(Any, None))
        return await view.get(self.new_request() if self.looking.is_set() else self.request, "Contact", "a")


@pytest.mark.parametrize("how", ["closing", "closed"])
async def test_nobody_looks_for_who_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A look is broken off when its client has gone, and makes room for another one."""
    await run(bench, row("a"))
    asked = _Asked(bench, monkeypatch)
    answer = asyncio.create_task(asked.answer())
    await asyncio.wait_for(asked.looking.wait(), 60)
    assert asked.context.open_lookups.total == 1
    if how == "closing":
        cast(Any, asked.request.transport).is_closing.return_value = True
    else:
        monkeypatch.setattr(type(asked.request), "transport", property(lambda _: None))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(answer, 60)
    assert asked.cancelled.is_set()
    assert asked.context.open_lookups.total == 0


@pytest.mark.parametrize(
    ("limit", "code"),
    [("max_open_lookups", "TOO_MANY_LOOKUPS"), ("max_open_lookups_per_account", "TOO_MANY_OPEN_LOOKUPS")],
)
async def test_looks_at_once_are_limited(bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str, code: str) -> None:
    """Of one account and of all there are so many at once; one more is refused."""
    await run(bench, row("a"))
    asked = _Asked(bench, monkeypatch, **{limit: 1})
    first = asyncio.create_task(asked.answer())
    await asyncio.wait_for(asked.looking.wait(), 60)
    with pytest.raises(ApiError) as refused:
        await asked.answer()
    assert refused.value.code == code
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert asked.cancelled.is_set()
    assert asked.context.open_lookups.total == 0
