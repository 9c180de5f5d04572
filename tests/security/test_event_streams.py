"""Streams of events outlast the request that opened them, and are not to outlast its credential."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from app.domain.access import Role
from app.domain.api_keys import fingerprint
from stack import Stack
from tests.support.issuer import SECRET, token
from tests.support.secured import Guarded, guarded_worker
from tests.support.waiting import wait_for


@pytest.fixture
def streaming(
    services: Stack, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A worker whose streams do not end by themselves."""
    settings = {"JWT_SECRET": SECRET, "JWT_LEEWAY": "0", "EVENT_STREAM_SECONDS": "900"}
    yield from guarded_worker(services, pytestconfig, tmp_path_factory, **settings)


class Stream(threading.Thread):
    """Reads a stream of events as long as it lasts."""

    def __init__(self, guarded: Guarded, headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._guarded, self._headers = guarded, headers
        self.begun = threading.Event()
        self.start()
        assert self.begun.wait(60)

    def run(self) -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.Client(base_url=self._guarded.worker.client.base_url, headers=self._headers, timeout=60) as client,
            client.stream("GET", "/events") as answer,
        ):
            assert answer.status_code == 200
            for _ in answer.iter_raw():
                self.begun.set()


def test_streams_end_with_their_credential(streaming: Guarded) -> None:
    """A stream ends soon after its key was revoked, or its token has expired; those of others go on."""
    revoked, good = streaming.key("acme", Role.VIEWER), streaming.key("acme", Role.VIEWER)
    kept = Stream(streaming, {"X-API-Key": good})
    of_key = Stream(streaming, {"X-API-Key": revoked})
    expiring = token(account="acme", role="viewer", exp=int(time.time()) + 10)
    of_token = Stream(streaming, {"Authorization": f"Bearer {expiring}"})
    admin = {"X-API-Key": streaming.key("acme", Role.ADMIN)}
    answer = streaming.worker.client.delete(f"/api-keys/{fingerprint(revoked)[:16]}", headers=admin)
    assert answer.status_code == 200
    wait_for(lambda: not of_key.is_alive() and not of_token.is_alive(), "both streams have ended")
    assert kept.is_alive()
