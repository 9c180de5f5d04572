"""Hostile JSON bodies: refused in the documented form, and the worker lives."""

from __future__ import annotations

import pytest

from tests.support.assertions import error_of
from tests.support.files import CONTACTS
from tests.support.workers import Worker


@pytest.mark.parametrize("levels", [20, 500, 1000, 1023, 20_000])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        (
            "POST",
            "/bulk-actions",
            b'{"source":"stream","actionType":"BULK_UPDATE","entityType":"Contact","maxFailures":%b}',
        ),
        ("PATCH", "/bulk-actions/{id}", b'{"scheduledAt":%b}'),
        ("POST", "/bulk-actions/{id}/cancel", b'{"reason":%b}'),
        ("POST", "/bulk-actions/{id}/close", b'{"rows":%b}'),
        ("POST", "/api-keys", b'{"role":"viewer","expires":%b}'),
    ],
)
def test_deep_body_is_refused(worker: Worker, method: str, path: str, body: bytes, levels: int) -> None:
    """However deep it is, also where what is wrong with it could not even be shown."""
    if "{id}" in path:
        path = path.replace("{id}", worker.submit(CONTACTS, scheduledAt="2100-01-01T00:00:00Z"))
    content = body % (b"[" * levels + b"]" * levels)
    headers = {"Content-Type": "application/json"}
    answer = worker.client.request(method, path, content=content, headers=headers)
    assert error_of(answer)[:2] == (400, "INVALID_BODY")
