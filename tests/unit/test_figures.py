"""Figures of tests that ran in several processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import execnet
import pytest

from tests.support.figures import Figures, figures, pytest_sessionfinish, pytest_testnodedown


def process(**more: Any) -> Any:
    return SimpleNamespace(stash=pytest.Stash(), **more)


def test_figures_of_processes_add_up() -> None:
    """The figures of all processes are added up."""
    controller = process()
    for number in (1, 2):
        worker = process(workeroutput={})
        found = figures(worker)
        found.rows += number
        found.recoveries.append(("a fault", number / 2))
        found.answers["200"] += number
        pytest_sessionfinish(SimpleNamespace(config=worker))  # type: ignore[arg-type]
        sent = execnet.loads(execnet.dumps(worker.workeroutput))
        pytest_testnodedown(SimpleNamespace(config=controller, workeroutput=sent))
    assert figures(controller).rows == 3
    assert [tuple(one) for one in figures(controller).recoveries] == [("a fault", 0.5), ("a fault", 1.0)]
    assert figures(controller).answers == {"200": 3}


def test_dead_process_has_no_figures() -> None:
    """A process that died has no figures."""
    controller = process()
    pytest_testnodedown(SimpleNamespace(config=controller))
    assert figures(controller) == Figures()
