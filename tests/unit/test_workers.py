"""What a worker tells of itself, and what the others make of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from agents.announcer import Announcer
from app.adapters.redis import workers as register
from app.domain.access import Principal, Role
from app.domain.faults import PassingFault
from app.domain.open_requests import OpenRequests
from app.domain.workers import Roll, SeenWorker, WorkerReport, WorkerState, state_of
from app.observability.dependencies import Dependencies
from app.observability.metrics import ROWS
from app.services import workers
from app.services.workers import Workers
from tests.support.clocks import PAST, ManualClock
from tests.support.factories import make_report
from tests.support.waiting import eventually
from web.errors.problem import ApiError
from web.openapi.models import WorkerList
from web.representations import roll_to_response
from web.request_state import PRINCIPAL
from web.views.workers import WorkersView

FLAGS = ("stopping", "stuck", "recovered", "usable")


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)), ids=str)
def test_ready_is_ready_and_healthy(flags: tuple[bool, ...]) -> None:
    """READY is a worker whose /ready and /health are UP, STUCK one whose /health is DOWN, and no other is."""
    given = dict(zip(FLAGS, flags, strict=True))
    state = state_of(**given)
    ready = given["recovered"] and given["usable"] and not given["stopping"]
    assert (state is WorkerState.READY) == (ready and not given["stuck"])
    assert (state is WorkerState.STUCK) == (given["stuck"] and not given["stopping"])
    assert (state is WorkerState.STOPPING) == given["stopping"]
    if not (given["stopping"] or given["stuck"] or ready):
        assert state is (WorkerState.NOT_READY if given["recovered"] else WorkerState.STARTING)


@pytest.mark.parametrize(("seconds", "lost"), [(0, False), (15, False), (15.001, True), (600, True)])
@pytest.mark.parametrize("state", [WorkerState.READY, WorkerState.STUCK, WorkerState.STOPPING])
def test_silent_worker_is_lost(state: WorkerState, seconds: float, lost: bool) -> None:
    """Whatever it said before, a worker is lost that has not announced itself for three of its intervals."""
    seen = SeenWorker(make_report(interval=5, state=state), PAST)
    assert seen.state_at(PAST + timedelta(seconds=seconds)) is (WorkerState.LOST if lost else state)


@dataclass
class Register:
    """A Redis that is there, away or hangs, with one other worker in it."""

    fault: Exception | None = None
    hangs: bool = False
    announced: list[WorkerReport] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    async def _ask(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault

    async def announce(self, report: WorkerReport) -> None:
        await self._ask()
        self.announced.append(report)

    async def withdraw(self, worker_id: str) -> None:
        await self._ask()
        self.withdrawn.append(worker_id)

    async def roll(self) -> Roll:
        await self._ask()
        known = [*self.announced[-1:], make_report(worker_id="other")]
        return Roll(tuple(SeenWorker(report, PAST) for report in known), PAST)


class House:
    """A worker without its services."""

    def __init__(self) -> None:
        self.register = Register()
        self.clock = ManualClock()
        self.membership = SimpleNamespace(
            stopping=False, recovered=True, leader=True, partitions=lambda: {"bulk-action": 4}
        )
        self.stuck = False
        self.asked = 0
        self.context = SimpleNamespace(
            redis=SimpleNamespace(workers=self.register),
            settings=SimpleNamespace(worker_announce_seconds=5.0),
            dependencies=Dependencies({"Redis": self._probe}, clock=self.clock),
            optional_dependencies=Dependencies({}, clock=self.clock),
            open_uploads=OpenRequests(),
            open_streams=OpenRequests(),
            open_downloads=OpenRequests(),
        )
        self.workers = Workers(
            cast(Any, self.context),
            cast(Any, self.membership),
            stuck=lambda: self.stuck,
            port=3000,
            clock=self.clock,
        )

    async def _probe(self) -> None:
        self.asked += 1

    async def own(self) -> WorkerReport:
        """This worker as it would tell of itself now."""
        [own] = [one for one in (await self.workers.roll()).workers if one.report.worker_id == self.workers.worker_id]
        return own.report

    async def announce(self, times: int = 1) -> None:
        for _ in range(times):
            await self.workers.announce()
            self.clock.now += 5


@pytest.fixture
def house() -> House:
    return House()


async def test_own_state_is_of_now(house: House) -> None:
    """The one that answers tells how it is now, and not how it was when it last announced itself."""
    await house.announce()
    assert (await house.own()).state is WorkerState.READY
    house.stuck = True
    assert (await house.own()).state is WorkerState.STUCK
    house.membership.stopping = True
    assert (await house.own()).state is WorkerState.STOPPING


async def test_speed_is_that_of_late(house: House) -> None:
    """Rows per second are what was run lately, and fade when nothing is run any more."""
    assert (await house.own()).rows_per_second == 0
    ROWS.labels("Contact", "created").inc(5_000)
    house.clock.now += 5
    assert (await house.own()).rows_per_second == pytest.approx(1_000)
    house.clock.now += 60
    assert (await house.own()).rows_per_second < 50


async def test_open_requests_are_told(house: House) -> None:
    upload = house.context.open_uploads.one_more("a", most=9, most_of_account=9)
    with upload, house.context.open_streams.one_more("a", most=9, most_of_account=9):
        own = await house.own()
    assert (own.open_uploads, own.open_streams, own.open_downloads) == (1, 1, 0)
    assert own.memory_bytes is None or own.memory_bytes > 10 * 1024**2


async def test_stopping_worker_asks_nobody(house: House) -> None:
    """While its clients go, what it depends on is as it was last known, and no false alarm is logged."""
    await house.announce()
    assert house.asked == 1
    house.membership.stopping = True
    house.clock.now += 100
    assert [state.name for state in (await house.own()).required] == ["Redis"]
    assert house.asked == 1


async def test_nobody_is_asked_before_recovery(house: House) -> None:
    """Before its services have started, they would be called away."""
    house.membership.recovered = False
    await house.announce()
    assert house.asked == 0
    assert house.register.announced[0].state is WorkerState.STARTING


FAULTS: dict[str, Callable[[Register], None]] = {
    "away": lambda redis: setattr(redis, "fault", PassingFault("away")),
    "hangs": lambda redis: setattr(redis, "hangs", True),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_absent_redis_shows_own(
    house: House, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker itself is shown, and that the others are not known; one line is logged for each time away."""
    monkeypatch.setattr(workers, "_TIMEOUT", 0.02)
    await house.announce()
    assert len((await house.workers.roll()).workers) == 2
    for outage in (1, 2):
        FAULTS[fault](house.register)
        await house.announce(3)
        roll = await house.workers.roll()
        assert [one.report.worker_id for one in roll.workers] == [house.workers.worker_id]
        assert not roll.complete
        house.register.fault, house.register.hangs = None, False
        await house.announce()
        assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == outage


async def test_list_is_complete_after_a_while(house: House) -> None:
    """After Redis was away, others may be shown as lost until all have announced themselves again."""
    assert not (await house.workers.roll()).complete, "nobody was told of this one yet"
    await house.announce()
    assert (await house.workers.roll()).complete
    house.register.fault = PassingFault("full")
    await house.announce()
    house.register.fault = None
    await house.announce(2)
    assert not (await house.workers.roll()).complete
    await house.announce(2)
    assert (await house.workers.roll()).complete


async def test_withdrawal_may_fail(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that cannot leave the list stops all the same."""
    house.register.fault = PassingFault("away")
    await house.workers.withdraw()
    assert len(caplog.records) == 1
    house.register.fault = None
    await house.workers.withdraw()
    assert house.register.withdrawn == [house.workers.worker_id]


@pytest.mark.parametrize(("account", "shown"), [("default", True), ("acme", False)])
async def test_accounts_do_not_see_workers(house: House, account: str, shown: bool) -> None:
    """The workers are the platform's: admins of other accounts do not see them."""
    view = WorkersView.__new__(WorkersView)
    view.app = cast(Any, SimpleNamespace(workers=house.workers))
    request = make_mocked_request("GET", "/workers")
    request[PRINCIPAL] = Principal(account, Role.ADMIN, "test")
    if not shown:
        with pytest.raises(ApiError) as refused:
            await WorkersView.get(view, request)
        assert (refused.value.problem.status, refused.value.problem.code) == (403, "PLATFORM_ONLY")
        return
    body = orjson.loads(cast(bytes, (await WorkersView.get(view, request)).body))
    WorkerList.model_validate(body, strict=False)
    assert [one["self"] for one in body["workers"]] == [False, True]


def test_unknown_dependency_is_shown() -> None:
    """A worker of another version may depend on what this one does not know."""
    report = make_report(dependency="a queue")
    shown = roll_to_response(Roll((SeenWorker(report, PAST),), PAST), "another")
    assert shown["workers"][0]["dependencies"][0]["name"] == "a queue"
    assert shown["workers"][0]["self"] is False


@pytest.mark.parametrize("stored", [None, b"", b"[]", b"{}", b'{"worker_id": 1}', b"\xff", b'"x"'])
def test_foreign_report_is_passed_over(stored: bytes | None) -> None:
    assert register._read(stored) is None


def test_newer_report_is_read() -> None:
    """A newer version may tell more."""
    report = make_report()
    told = {**orjson.loads(register._REPORT.dump_json(report)), "mood": "good"}
    assert register._read(orjson.dumps(told)) == report


class Told:
    """Counts what an announcer asks for."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.announced = 0
        self.withdrawn = 0
        self.breaks = False

    async def announce(self) -> None:
        self.announced += 1
        if self.breaks:
            raise RuntimeError("broken")

    async def withdraw(self) -> None:
        self.withdrawn += 1


async def test_worker_is_announced_on(caplog: pytest.LogCaptureFixture) -> None:
    """It is announced at its interval, whatever goes wrong with one announcement."""
    told = Told(interval=0.01)
    told.breaks = True
    announcer = Announcer(cast(Any, told))
    await eventually(lambda: told.announced >= 3, "announced again and again")
    await announcer.end(orderly=True)
    assert told.withdrawn == 1
    assert {record.message for record in caplog.records} == {"this worker cannot announce itself"}


async def test_new_state_is_told_at_once() -> None:
    """A stop is told without waiting for the interval; a worker that has crashed does not leave the list."""
    told = Told(interval=3_600)
    announcer = Announcer(cast(Any, told))
    await eventually(lambda: told.announced == 1, "announced when it is made")
    announcer.announce()
    await eventually(lambda: told.announced == 2, "announced when it is asked for")
    await announcer.end(orderly=False)
    assert (told.announced, told.withdrawn) == (2, 0)
