"""How a worker starts and stops."""

from __future__ import annotations

import socket
from collections.abc import Callable

from stack.addresses import free_port
from tests.support import Worker, wait_for

StartWorker = Callable[..., Worker]


def _exit_code(worker: Worker) -> int:
    assert worker.process is not None
    return worker.process.wait(timeout=30)


def test_a_worker_whose_port_is_in_use_says_so_in_one_line_and_ends(start_worker: StartWorker) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        worker = start_worker(wait=False, PORT=str(port))
        assert _exit_code(worker) == 2
    assert f"port {port} is in use" in worker.tail()
    assert "Traceback" not in worker.tail()


def test_a_worker_waits_for_what_it_depends_on_and_can_be_stopped_meanwhile(start_worker: StartWorker) -> None:
    worker = start_worker(wait=False, REDIS_URI=f"127.0.0.1:{free_port()}")
    wait_for(lambda: "waiting for Redis" in worker.tail(), "the worker says what it waits for")
    assert worker.running
    worker.stop(timeout=15)
    assert "Traceback" not in worker.tail()


def test_a_worker_refuses_topics_with_another_number_of_partitions(start_worker: StartWorker) -> None:
    first = start_worker()
    assert first.stop() == 0
    second = start_worker(wait=False, TOPIC_PARTITIONS="5")
    assert _exit_code(second) == 2
    assert "TOPIC_PARTITIONS says 5" in second.tail()
