"""What happened to the credentials of an account is told to its admins, and to nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.domain.access import Role
from tests.support.assertions import error_of
from tests.support.secured import Guarded
from tests.support.waiting import wait_for


def search(guarded: Guarded, key: str, **query: str) -> list[dict[str, Any]]:
    answer = guarded.worker.client.get("/search", params=query, headers={"X-API-Key": key})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["events"])


def test_refused_key_is_told_to_admins(guarded: Guarded) -> None:
    """Each use of a key that was revoked is counted, with the address that it came from; of the key there is its id."""
    revoked = guarded.key("vault", Role.ADMIN, revoked_at=datetime.now(UTC))
    admin, viewer = guarded.key("vault", Role.ADMIN), guarded.key("vault", Role.VIEWER)
    other = guarded.key("elsewhere", Role.ADMIN)
    for _ in range(3):
        refused = guarded.worker.client.get("/bulk-actions", headers={"X-API-Key": revoked})
        assert error_of(refused)[:2] == (401, "INVALID_CREDENTIAL")

    def told() -> list[dict[str, Any]] | None:
        events = search(guarded, admin, type="credential.refused")
        return events if sum(event["count"] for event in events) == 3 else None

    events = wait_for(told, "the refusals are told")
    assert {(event["code"], event["source"], event["level"]) for event in events} == {
        ("KEY_REVOKED", "127.0.0.1", "warning")
    }
    assert revoked not in str(events)
    assert search(guarded, viewer, type="credential.refused") == search(guarded, viewer) == []
    assert search(guarded, other, type="credential.refused") == []
