"""How many commands a server is given at once is found by how much it does."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.mongo.concurrency import CommandGate
from app.domain.concurrency import AdaptiveLimit


def work(limit: AdaptiveLimit, throughput: list[float], commands: int, kinds: tuple[str, ...] = ("insert",)) -> None:
    """Let a server do so many commands that does ``throughput[n - 1]`` times the work when n are under way at once."""
    for number in range(commands):
        kind, at_once = kinds[number % len(kinds)], limit.value
        alone = 0.01 if kind == "insert" else 0.04
        limit.observe(kind, 1000, alone * at_once / throughput[at_once - 1], at_once)


@pytest.mark.parametrize(
    ("throughput", "best"),
    [
        ([1, 2, 3, 4], 4),
        ([1, 1.5, 1.8, 1.9], 4),
        ([1, 1.5, 1.52, 1.52], 2),
        ([1, 1, 1, 1], 1),
        ([1, 0.8, 0.6, 0.5], 1),
        ([1, 1.4, 1.2, 1.0], 2),
    ],
)
@pytest.mark.parametrize("kinds", [("insert",), ("insert", "compare")])
def test_limit_is_what_the_server_takes(throughput: list[float], best: int, kinds: tuple[str, ...]) -> None:
    """As many at once as make it do more, whatever mixture of commands tells it."""
    limit = AdaptiveLimit(4)
    work(limit, throughput, 200, kinds)
    spent = [0] * 5
    for _ in range(4000):
        spent[limit.value] += 1
        work(limit, throughput, 1, kinds)
    assert spent[best] > 0.85 * sum(spent)


def test_limit_follows_the_server() -> None:
    """A server that becomes slower, or faster, with several at once is met with fewer, or more."""
    limit = AdaptiveLimit(4)
    work(limit, [1, 2, 3, 4], 200)
    work(limit, [1, 0.8, 0.6, 0.5], 3000)
    assert limit.value == 1
    spent = 0
    for _ in range(6000):
        work(limit, [1, 2, 3, 4], 1)
        spent += limit.value == 4
    assert spent > 3000


def test_slower_server_keeps_its_limit() -> None:
    """That all commands take longer, alone as well, is soon no reason for fewer."""
    limit = AdaptiveLimit(4)
    work(limit, [1, 2, 3, 4], 200)
    spent = 0
    for number in range(6000):
        at_once = limit.value
        limit.observe("insert", 1000, 0.05, at_once)
        spent += limit.value == 4 and number > 2000
    assert spent > 2500


@given(st.integers(-3, 8), st.lists(st.tuples(st.floats(-1, 10), st.integers(-5, 5000), st.integers(0, 9))))
def test_limit_stays_in_its_bounds(most: int, seen: list[tuple[float, int, int]]) -> None:
    """Whatever is observed, the limit is between one and the bound."""
    limit = AdaptiveLimit(most)
    for seconds, rows, at_once in seen:
        limit.observe("insert", rows, seconds, at_once)
        assert 1 <= limit.value <= max(1, most)


class Slow:
    """Commands that last until they are let go; counts how many are under way."""

    def __init__(self, gate: CommandGate) -> None:
        self.gate, self.under_way, self.most, self.go = gate, 0, 0, asyncio.Event()

    async def run(self) -> None:
        async with self.gate.command("insert", 10):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await self.go.wait()
            self.under_way -= 1


async def test_gate_holds_the_limit() -> None:
    """No more commands are under way than the limit says, and all come to their turn."""
    slow = Slow(CommandGate(1))
    tasks = [asyncio.create_task(slow.run()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert slow.under_way == 1
    slow.go.set()
    await asyncio.gather(*tasks)
    assert (slow.most, slow.under_way) == (1, 0)


async def test_cancelled_commands_free_the_gate() -> None:
    """Commands that are cancelled, while they wait or when their turn has come, hold up nobody."""
    slow = Slow(CommandGate(1))
    first, second, third, last = tasks = [asyncio.create_task(slow.run()) for _ in range(4)]
    await asyncio.sleep(0)
    second.cancel()
    slow.go.set()
    await first
    third.cancel()
    await asyncio.wait_for(last, 60)
    assert all(task.done() for task in tasks)
    assert slow.under_way == 0


async def test_failed_command_frees_the_gate() -> None:
    """A command that fails lets the next one pass."""
    gate = CommandGate(1)
    for _ in range(3):
        with pytest.raises(OSError):
            async with gate.command("insert", 10):
                raise OSError
